"""One viewer's share of the picture: its rate and rung, the encoding that suits them, what was sent and when."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.mediastreams import MediaStreamError

from streamer.aiortc_patch import Payloads
from streamer.core.ladder import EVALUATE_EVERY_S, Ladder, Limit, Rung
from streamer.core.pacing import ResendPace, spread
from streamer.core.rate import Bitrates, Rate, rate_class
from streamer.core.timing import Bucket, KeyFrameGate
from streamer.encoding import EncodedPicture, Quality, SharedEncoding
from streamer.encodings import Encodings
from streamer.source import JsonObject, VideoFormat

_MAX_QUEUED = 3
_VIEWER_KEY_FRAME_INTERVAL_S = 1.0
_TELL_RATE_EVERY_S = 2.0
_TELL_RATE_CHANGE = 0.1
_RESEND_PACKET_BITS = 8 * 1200
_RESEND_BURST_S = 0.5


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a viewer gets."""

    video: VideoFormat
    codec: str
    encoder: str
    limit: Limit


class Delivery:
    """A viewer's feed (`aiortc_patch.Feed`) and membership (`encoding.Member`). Loop-bound.

    `on_sent` hears of every frame once its packets are out, with its RTP timestamp and the time (seconds since the
    epoch); `on_delivered` of `videoDelivered` messages (docs/protocol.md §2); `on_rung` of the rung to render for.
    """

    def __init__(
        self,
        encodings: Encodings,
        *,
        wished: VideoFormat,
        bitrates: Bitrates,
        on_sent: Callable[[EncodedPicture, int, float], None],
        on_delivered: Callable[[JsonObject], None],
        on_rung: Callable[[Rung], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._encodings = encodings
        self._on_sent = on_sent
        self._on_delivered = on_delivered
        self._on_rung = on_rung
        self._wished = wished
        self._rate = Rate(bitrates)
        self._ladder = Ladder(wished.width, wished.height, wished.fps)
        self._class = rate_class(bitrates.start)
        self._encoding: SharedEncoding | None = None
        self._codec = ""
        self._queue: deque[EncodedPicture] = deque()
        self._filled = asyncio.Event()
        self._needs_key = True
        self._failed = False
        self._in_flight: EncodedPicture | None = None
        self._last_timestamp = -1
        self._evaluated_at = self._monotonic()
        self._key_gate = KeyFrameGate(_VIEWER_KEY_FRAME_INTERVAL_S)
        self._resend = self._new_resend_bucket()
        self._resend_pace = ResendPace()
        self._told: tuple[Delivered, VideoFormat] | None = None
        self._told_rate = 0
        self._told_at = 0.0
        self.key_frames_refused = 0

    # As a feed.

    async def next(self, codec: str) -> Payloads:
        """The next frame in this codec. Raises MediaStreamError when the picture cannot be encoded."""
        self._codec = codec
        if self._encoding is None:
            self._place()
        self._evaluate()
        while not self._queue:
            if self._failed:
                raise MediaStreamError
            self._filled.clear()
            if self._encoding is not None:
                self._encoding.wake()
            await self._filled.wait()
        frame = self._in_flight = self._queue.popleft()
        if self._encoding is not None and not self._queue:
            self._encoding.wake()  # the next one may be encoded while this one is sent
        self._last_timestamp = max(self._last_timestamp + 1, frame.timestamp)
        self._rate.count(frame.encoded.size_bytes, self._monotonic())
        self._tell(frame)
        parts = frame.encoded.parts
        due_s = spread([len(part) for part in parts], bps=self._rate.target, fps=frame.video.fps)
        return Payloads(parts, self._last_timestamp, due_s)

    def sent(self, rtp_timestamp: int, at: float) -> None:
        """The last frame's packets are out."""
        frame, self._in_flight = self._in_flight, None
        if frame is not None:
            self._on_sent(frame, rtp_timestamp, at)

    def key_frame_wanted(self) -> None:
        """The receiver lost its picture; one who asks all the time gets one now and then."""
        now = self._monotonic()
        self._key_gate.ask()
        if self._key_gate.wait_s(now) or self._encoding is None:
            self.key_frames_refused += 1
            return
        self._key_gate.made(now)
        self._encoding.want_key_frame()

    def estimated(self, bitrate: int) -> None:
        """The receiver's estimate of its network."""
        self._rate.follow(bitrate, self._monotonic())

    def lost(self, fraction: float) -> None:
        """The receiver's report of loss."""
        self._rate.lose(fraction, self._monotonic())

    def resend_wait_s(self) -> float | None:
        """When a lost packet may be sent again: spread like frames, and no more of them than the stream has itself."""
        now = self._monotonic()
        if not self._resend.take(now):
            return None
        return self._resend_pace.wait_s(size_bytes=_RESEND_PACKET_BITS // 8, bps=self._rate.target, now=now)

    # As a member.

    @property
    def hungry(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._queue

    @property
    def bitrate(self) -> int:
        """What this viewer's network carries."""
        return self._rate.target

    def take(self, frame: EncodedPicture) -> None:
        """Queue a frame; who falls behind loses what waits and goes on with a key frame."""
        if self._needs_key and not frame.encoded.key:
            return
        if len(self._queue) >= _MAX_QUEUED:
            self._queue.clear()
            self._needs_key = not frame.encoded.key
            if self._needs_key and self._encoding is not None:
                self._encoding.want_key_frame()
                return
        self._needs_key = False
        self._queue.append(frame)
        self._filled.set()

    def fail(self) -> None:
        """There will be no more frames."""
        self._failed = True
        self._filled.set()

    # As a viewer's.

    def wish(self, video: VideoFormat, bitrates: Bitrates) -> None:
        """Another format is wished for, with bounds of its own."""
        if video != self._wished:
            self._wished = video
            self._ladder = Ladder(video.width, video.height, video.fps)
            self._rate.bounds = bitrates
            self._resend = self._new_resend_bucket()
            self._on_rung(self._ladder.rung)
            if self._encoding is not None:
                self._place()

    def tell_again(self) -> None:
        """Whoever listens has just come: tell what is delivered with the next frame."""
        self._told = None

    def close(self) -> None:
        """Leave. Idempotent."""
        encoding, self._encoding = self._encoding, None
        if encoding is not None:
            self._encodings.leave(self, encoding)
        self._queue.clear()
        self.fail()

    def _evaluate(self) -> None:
        """Now and then: does another rung or rate suit this viewer better?"""
        now = self._monotonic()
        if now - self._evaluated_at < EVALUATE_EVERY_S:
            return
        self._evaluated_at = now
        load = self._encoding.load if self._encoding is not None else 0.0
        before = self._ladder.rung
        if self._ladder.step(bitrate=self._rate.target, load=load, now=now) != before:
            self._on_rung(self._ladder.rung)
        self._class = rate_class(self._rate.target, self._class)
        self._place()

    def _place(self) -> None:
        rung = self._ladder.rung
        quality = Quality(self._codec, rung.scale, rung.fps, self._class)
        placed = self._encodings.place(self, quality, self._encoding)
        if placed is not self._encoding:
            self._encoding, self._needs_key = placed, True

    def _new_resend_bucket(self) -> Bucket:
        per_s = self._rate.bounds.ceiling / _RESEND_PACKET_BITS
        return Bucket(per_s, max(64.0, per_s * _RESEND_BURST_S), self._monotonic())

    def _tell(self, frame: EncodedPicture) -> None:
        """Say what is delivered when that changed; of the rate alone only when it changed much, and now and then."""
        now, rate = self._monotonic(), self._rate.target
        delivered = Delivered(frame.video, self._codec, frame.encoder, self._ladder.limit)
        other_rate = abs(rate - self._told_rate) > _TELL_RATE_CHANGE * self._told_rate
        if self._told == (delivered, self._wished) and not (other_rate and now - self._told_at >= _TELL_RATE_EVERY_S):
            return
        self._told, self._told_rate, self._told_at = (delivered, self._wished), rate, now
        self._on_delivered(
            {
                "wished": _format(self._wished),
                "delivered": _format(frame.video),
                "limited_by": delivered.limit.value,
                "bitrate": rate,
                "codec": self._codec,
                "encoder": frame.encoder,
            }
        )


def _format(video: VideoFormat) -> JsonObject:
    return {"width": video.width, "height": video.height, "fps": video.fps}
