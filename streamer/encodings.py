"""The encodings of a session: as few as its viewers' qualities allow, each with the best encoder that works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from streamer.encoder import SOFTWARE, EncoderKind
from streamer.encoding import Member, Quality, SharedEncoding
from streamer.frames import LatestPicture
from streamer.source import VideoFormat

logger = logging.getLogger(__name__)


class BestEncoders:
    """The encoder for each codec: software, until a hardware encoder has proven itself, and again when it fails."""

    def __init__(self) -> None:
        self._kinds = dict(SOFTWARE)

    def kind(self, codec: str) -> EncoderKind:
        """The best that works."""
        return self._kinds[codec]

    def prefer(self, kind: EncoderKind) -> None:
        """This one works."""
        self._kinds[kind.codec] = kind

    def give_up(self, kind: EncoderKind) -> bool:
        """Take software from now on; False when it was software that failed."""
        if kind == SOFTWARE[kind.codec]:
            return False
        logger.warning("%s failed; encoding in software from now on", kind.name)
        self._kinds[kind.codec] = SOFTWARE[kind.codec]
        return True


class Encodings:
    """Who shares what. Loop-bound."""

    def __init__(
        self,
        pictures: Callable[[], LatestPicture],
        *,
        encoders: BestEncoders,
        full_size: Callable[[], VideoFormat],
        ceiling: Callable[[], int],
    ) -> None:
        self._pictures = pictures
        self._encoders = encoders
        self._full_size = full_size
        self._ceiling = ceiling
        self._running: dict[SharedEncoding, asyncio.Task[None]] = {}

    @property
    def count(self) -> int:
        """How many run."""
        return len(self._running)

    def place(self, member: Member, quality: Quality, current: SharedEncoding | None) -> SharedEncoding:
        """The encoding of this quality, with the member in it.

        One who was alone takes its encoding along, and so needs no key frame where the encoder follows; unless
        there is one of the new quality already.
        """
        if current is not None and current.quality == quality:
            return current
        there = next((encoding for encoding in self._running if encoding.quality == quality), None)
        if there is None and current is not None and current.members == [member]:
            if current.quality.codec == quality.codec:
                current.quality = quality
                return current
        if current is not None:
            self.leave(member, current)
        if there is None:
            there = self._start(quality)
        there.join(member)
        return there

    def leave(self, member: Member, encoding: SharedEncoding) -> None:
        """The member is gone; so is an encoding without any. Idempotent."""
        encoding.leave(member)
        if not encoding.members:
            task = self._running.pop(encoding, None)
            if task is not None:
                task.cancel()

    async def close(self) -> None:
        """End all. Idempotent."""
        tasks = list(self._running.values())
        self._running.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _start(self, quality: Quality) -> SharedEncoding:
        encoding = SharedEncoding(
            quality, self._pictures(), choice=self._encoders, full_size=self._full_size, ceiling=self._ceiling
        )
        self._running[encoding] = asyncio.create_task(encoding.run(), name=f"encoding-{quality.codec}")
        return encoding
