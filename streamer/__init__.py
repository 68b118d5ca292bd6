"""The streaming-backend library: rendered frames in, a WebRTC stream with input coming back out."""

from streamer.run import run
from streamer.source import AnyFrame, Application, Audible, Frame, Outbox, Sound, VideoFormat

__all__ = ["AnyFrame", "Application", "Audible", "Frame", "Outbox", "Sound", "VideoFormat", "run"]
