"""Hardware encoders: taken where one really encodes a frame, tried out in a child process that may hang or crash.

`python -m streamer.hardware NAME` is that child.
"""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import glob
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import av
from aiortc.mediastreams import VIDEO_CLOCK_RATE

from streamer.encoder import H264, Encoder, EncoderKind

logger = logging.getLogger(__name__)

_TRY_S = 8.0
_TRIED_SIZE = (640, 368)
_TRIED_BPS = 2_000_000
_TRIED_FRAMES = 3
_OWN_VARIABLES = "PIXELFERRY_"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hardware encoder, and the devices without which trying it is of no use."""

    kind: EncoderKind
    devices: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether FFmpeg knows it and one of its devices is there."""
        found = not self.devices or any(glob.glob(device) for device in self.devices)
        return found and self.kind.name in av.codecs_available


def _nvenc(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    return _rate(bitrate, buffer) | {
        "preset": "p2", "tune": "ull", "rc": "cbr", "zerolatency": "1", "delay": "0", "forced-idr": "1"
    }  # fmt: skip


def _qsv(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    return _rate(bitrate, buffer) | {"preset": "veryfast", "async_depth": "1", "forced_idr": "1", "look_ahead": "0"}


def _videotoolbox(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    return _rate(bitrate, buffer) | {"realtime": "1", "prio_speed": "1"}


def _v4l2(bitrate: int, buffer: int, threads: int) -> Mapping[str, str]:
    return {}


def _rate(bitrate: int, buffer: int) -> dict[str, str]:
    return {"maxrate": str(bitrate), "bufsize": str(buffer)}


CANDIDATES = (
    Candidate(EncoderKind("h264_nvenc", H264, "yuv420p", True, _nvenc, "baseline"), ("/dev/nvidiactl", "/dev/dxg")),
    Candidate(EncoderKind("h264_qsv", H264, "nv12", False, _qsv), ("/dev/dri/renderD*",)),
    Candidate(EncoderKind("h264_v4l2m2m", H264, "yuv420p", False, _v4l2), ("/dev/video1[0-9]",)),
    Candidate(EncoderKind("h264_videotoolbox", H264, "nv12", False, _videotoolbox), ()),
)


def works(kind: EncoderKind) -> bool:
    """Whether this encoder gives a key frame first, and each frame at once. May raise, crash or hang."""
    encoder = Encoder(kind)
    width, height = _TRIED_SIZE
    for number in range(_TRIED_FRAMES):
        frame = av.VideoFrame(width, height, kind.pixels)
        for plane in frame.planes:
            plane.update(bytes([80 + number]) * plane.buffer_size)
        frame.pts, frame.time_base = number * VIDEO_CLOCK_RATE // 30, fractions.Fraction(1, VIDEO_CLOCK_RATE)
        encoded = encoder.encode(frame, bitrate=_TRIED_BPS, ceiling=2 * _TRIED_BPS, fps=30)
        if not encoded.parts or (number == 0 and not encoded.key):
            return False
    return True


async def find(
    candidates: Iterable[Candidate] = CANDIDATES,
    *,
    command: Sequence[str] = (sys.executable, "-m", "streamer.hardware"),
    try_s: float = _TRY_S,
) -> EncoderKind | None:
    """The first encoder that works here; None when none does."""
    for candidate in candidates:
        if candidate.present and await _proven([*command, candidate.kind.name], try_s):
            logger.info("encoding in hardware by %s", candidate.kind.name)
            return candidate.kind
    return None


async def _proven(command: Sequence[str], try_s: float) -> bool:
    """Whether this command ends well in time; its environment holds nothing of ours, secrets least of all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    quiet = asyncio.subprocess.DEVNULL
    try:
        child = await asyncio.create_subprocess_exec(*command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return False
    try:
        async with asyncio.timeout(try_s):
            return await child.wait() == 0
    except TimeoutError:
        return False
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()


def main(arguments: Sequence[str]) -> int:
    """Try the encoder of this name; 0 when it works."""
    kinds = {candidate.kind.name: candidate.kind for candidate in CANDIDATES}
    return 0 if len(arguments) == 1 and arguments[0] in kinds and works(kinds[arguments[0]]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
