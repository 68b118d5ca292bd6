"""What a streaming backend is told from outside: its addresses, its ports, the bounds of its stream."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from streamer.core.rate import Bitrates, bitrates_for
from streamer.source import VideoFormat
from streamer.video_wish import MIN_SIDE_PX

__all__ = ["DEFAULT_VIDEO", "BadSettings", "Bitrates", "StreamSettings", "settings_from"]

DEFAULT_VIDEO = VideoFormat(1280, 720, 30)
_LEAST_BITRATE = 300_000
_VIDEO = re.compile(r"([0-9]{1,4})x([0-9]{1,4})(?:@([0-9]{1,3}))?", re.ASCII)
_MOST_SIDE_PX = 8192
_MOST_FPS = 240


class BadSettings(ValueError):
    """An environment variable does not fit; the text names it and the mend."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Where a backend listens and what it serves.

    Without `bitrates` these follow from the size of the picture, up to `max_bitrate` bits per second where that is set.
    Without a `control_token` it runs for development: no control port, one session that is there from the start.
    """

    host: str = "127.0.0.1"
    signaling_port: int = 49100
    media_port: int = 47998
    control_port: int = 0
    control_token: str | None = None
    video: VideoFormat = DEFAULT_VIDEO
    bitrates: Bitrates | None = None
    max_bitrate: int | None = None
    hardware: bool = True
    max_viewers: int = 4
    ice_timeout_s: float = 15
    handshake_timeout_s: float = 10
    close_timeout_s: float = 1

    @property
    def standalone(self) -> bool:
        """Whether no broker stands behind this process."""
        return self.control_token is None

    def bitrates_for(self, video: VideoFormat) -> Bitrates:
        """The bounds of a stream of this format."""
        if self.bitrates is not None:
            return self.bitrates
        most = {} if self.max_bitrate is None else {"most_bps": self.max_bitrate}
        return bitrates_for(video.width, video.height, video.fps, **most)


def settings_from(environment: Mapping[str, str], *, video: VideoFormat = DEFAULT_VIDEO) -> StreamSettings:
    """Settings as docs/protocol.md §4 hands them over. Raises BadSettings."""
    defaults = StreamSettings(video=video)
    host = environment.get("PIXELFERRY_BACKEND_HOST", defaults.host)
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise BadSettings(f"PIXELFERRY_BACKEND_HOST must be an IP address, not {host!r}") from error
    token = environment.get("PIXELFERRY_CONTROL_TOKEN") or None
    if token is None and not ipaddress.ip_address(host).is_loopback:
        raise BadSettings("without PIXELFERRY_CONTROL_TOKEN a backend listens on a loopback address only")
    return StreamSettings(
        host=host,
        signaling_port=_port(environment, "PIXELFERRY_SIGNALING_PORT", defaults.signaling_port),
        media_port=_port(environment, "PIXELFERRY_MEDIA_PORT", defaults.media_port),
        control_port=_port(environment, "PIXELFERRY_CONTROL_PORT", defaults.control_port),
        control_token=token,
        video=_video(environment) or video,
        max_bitrate=_bitrate(environment),
        hardware=_hardware(environment),
    )


def _video(environment: Mapping[str, str]) -> VideoFormat | None:
    """The format in place of the application's own; None where there is none."""
    text = environment.get("PIXELFERRY_VIDEO")
    if text is None:
        return None
    match = _VIDEO.fullmatch(text)
    width, height, fps = map(int, match.groups("30")) if match else (0, 0, 0)
    sides_fit = all(MIN_SIDE_PX <= side <= _MOST_SIDE_PX and side % 2 == 0 for side in (width, height))
    if not sides_fit or not 1 <= fps <= _MOST_FPS:
        raise BadSettings(f"PIXELFERRY_VIDEO must be such as 1920x1080@60, both sides even, not {text!r}")
    return VideoFormat(width, height, fps)


def _bitrate(environment: Mapping[str, str]) -> int | None:
    text = environment.get("PIXELFERRY_MAX_BITRATE")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not _LEAST_BITRATE <= int(text) < 2**31:
        raise BadSettings(f"PIXELFERRY_MAX_BITRATE must be at least {_LEAST_BITRATE} bits per second, not {text!r}")
    return int(text)


def _hardware(environment: Mapping[str, str]) -> bool:
    text = environment.get("PIXELFERRY_ENCODER", "auto")
    if text not in ("auto", "software"):
        raise BadSettings(f"PIXELFERRY_ENCODER must be auto or software, not {text!r}")
    return text == "auto"


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) < 65536:
        raise BadSettings(f"{name} must be a port from 0 to 65535, not {text!r}")
    return int(text)
