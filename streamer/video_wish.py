"""What a client would like to get, and what it gets."""

from __future__ import annotations

from streamer.source import VideoFormat

MIN_SIDE_PX = 64


def fulfil(wanted: object, most: VideoFormat) -> VideoFormat | None:
    """A wish, scaled into what the backend delivers at most, its sides even; None for what is no wish."""
    if not isinstance(wanted, dict):
        return None
    width, height, fps = (_positive(wanted.get(name)) for name in ("width", "height", "fps"))
    if width is None or height is None:
        return None
    scale = min(1.0, most.width / width, most.height / height)
    return VideoFormat(
        _side(width * scale, most.width), _side(height * scale, most.height), min(fps or most.fps, most.fps)
    )


def _positive(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and isinstance(value, int) and 0 < value < 2**31 else None


def _side(length: float, most: int) -> int:
    return min(most, max(MIN_SIDE_PX, round(length / 2) * 2))
