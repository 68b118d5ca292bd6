"""The application's sound: blocks of 20 ms, encoded once as Opus for all who listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass

import av
import av.audio.codeccontext
import numpy as np
from aiortc.mediastreams import MediaStreamError

from streamer.aiortc_patch import Payloads
from streamer.source import Sound

logger = logging.getLogger(__name__)

SAMPLE_RATE = 48000
BLOCK_SAMPLES = 960
BLOCK_S = BLOCK_SAMPLES / SAMPLE_RATE
_CHANNELS = 2
_BITRATE = 96_000
_MAX_QUEUED = 10


@dataclass(frozen=True, slots=True)
class Block:
    """What sounds for 20 ms from `at_s` seconds into the session on; None for silence."""

    sound: Sound | None
    at_s: float


def check_sound(sound: object, samples: int) -> None:
    """Raise ValueError, saying what sound is, for anything else."""
    if isinstance(sound, np.ndarray) and sound.dtype == np.int16 and sound.shape == (samples, _CHANNELS):
        return
    what = f"{sound.dtype} {sound.shape}" if isinstance(sound, np.ndarray) else type(sound).__name__
    raise ValueError(f"sound is a NumPy array of int16 and shape (samples, 2), here ({samples}, 2); this is {what}")


class Listener:
    """One viewer's share of the sound (`aiortc_patch.Feed`); who falls behind misses what is oldest. Loop-bound."""

    def __init__(self) -> None:
        self._queue: deque[Payloads] = deque(maxlen=_MAX_QUEUED)
        self._filled = asyncio.Event()
        self._closed = False

    def take(self, payloads: Payloads) -> None:
        """Queue a block."""
        self._queue.append(payloads)
        self._filled.set()

    def close(self) -> None:
        """There will be no more. Idempotent."""
        self._closed = True
        self._filled.set()

    async def next(self, codec: str) -> Payloads:
        """The next block. Raises MediaStreamError after the end."""
        while not self._queue:
            if self._closed:
                raise MediaStreamError
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()

    def sent(self, rtp_timestamp: int, at: float) -> None:
        """Nobody asks."""

    def key_frame_wanted(self) -> None:
        """Every block stands for itself."""

    def estimated(self, bitrate: int) -> None:
        """It is little in any case."""

    def lost(self, fraction: float) -> None:
        """Opus conceals it."""

    def resend_wait_s(self) -> float | None:
        """Late sound is of no use."""
        return None


class SharedSound:
    """The encoder of a session's sound, and who listens. Loop-bound; `close` ends its task."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._blocks: deque[Block] = deque(maxlen=_MAX_QUEUED)
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def join(self, listener: Listener) -> None:
        """Send it every block from now on."""
        self._listeners.append(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="sound")

    def leave(self, listener: Listener) -> None:
        """No more for this one. Idempotent."""
        listener.close()
        if listener in self._listeners:
            self._listeners.remove(listener)

    def put(self, block: Block) -> None:
        """Encode this block, unless nobody listens."""
        if self._listeners:
            self._blocks.append(block)
            self._filled.set()

    async def close(self) -> None:
        """End the task. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        encoder = OpusEncoder()
        loop = asyncio.get_running_loop()
        try:
            while True:
                while not self._blocks:
                    self._filled.clear()
                    await self._filled.wait()
                payloads = await loop.run_in_executor(None, encoder.encode, self._blocks.popleft())
                for listener in tuple(self._listeners):
                    listener.take(payloads)
        except Exception:
            logger.exception("the sound could not be encoded")
            for listener in tuple(self._listeners):
                self.leave(listener)


class OpusEncoder:
    """Opus at 48 kHz in stereo, for any kind of sound."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        assert isinstance(context, av.audio.codeccontext.AudioCodecContext)
        context.bit_rate = _BITRATE
        context.format = av.AudioFormat("s16")
        context.layout = "stereo"
        context.sample_rate = SAMPLE_RATE
        context.options = {"application": "audio", "frame_duration": "20"}
        self._context = context

    def encode(self, block: Block) -> Payloads:
        """The block's payload."""
        sound = np.zeros((BLOCK_SAMPLES, _CHANNELS), dtype=np.int16) if block.sound is None else block.sound
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = timestamp = max(0, round(block.at_s * SAMPLE_RATE))
        parts = [bytes(packet) for packet in self._context.encode(frame)]
        return Payloads(parts, timestamp)
