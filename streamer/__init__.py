"""The streaming-backend library: rendered frames in, a WebRTC stream with input coming back out."""

from streamer.run import run
from streamer.source import Application, Frame, Outbox, VideoFormat

__all__ = ["Application", "Frame", "Outbox", "VideoFormat", "run"]
