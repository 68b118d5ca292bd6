"""What a viewer sends on its data channels: parsed, bounded, and in order; what does not fit is dropped and counted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Never, Protocol

from streamer.core.timing import Bucket
from streamer.input import BadInput, InputEvent, PointerMove, parse_input
from streamer.source import JsonObject

MAX_MESSAGE_BYTES = 64 * 1024
_MAX_PER_S = 1000.0
_BURST = 500.0


FRAME_TIMINGS = "frameTimings"
"""The message by which a viewer asks for timings; it is for this library, and open to those who only watch."""

_MAX_REQUEST_LENGTH = 256


class Listener(Protocol):
    """Who hears what came."""

    def hear(self, event: InputEvent, at: float) -> None:
        """An input event."""

    def tell(self, event_type: str, payload: JsonObject) -> None:
        """An application message."""

    def request_timings(self, on: bool) -> None:
        """The viewer asks for timings of its frames, or no more."""


@dataclass(slots=True)
class InboxCounts:
    """What was dropped, by cause."""

    malformed: int = 0
    stale: int = 0
    replayed: int = 0
    flooding: int = 0
    view_only: int = 0
    unsent: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{count} {cause}" for cause, count in asdict(self).items() if count) or "nothing"


class Inbox:
    """One viewer's incoming messages, over both channels."""

    def __init__(self, listener: Listener, *, listens: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._listens = listens
        self._monotonic = monotonic
        self._last_seq = self._last_action_seq = -1
        self._bucket = Bucket(_MAX_PER_S, _BURST, monotonic())
        self.counts = InboxCounts()

    def take(self, data: str | bytes, at: float) -> None:
        """Take one message; `at` in seconds since the epoch."""
        if not self._bucket.take(self._monotonic()):
            self.counts.flooding += 1
        elif not self._listens and len(data) > _MAX_REQUEST_LENGTH:
            self.counts.view_only += 1
        elif not isinstance(data, str) or len(data.encode(errors="replace")) > MAX_MESSAGE_BYTES:
            self.counts.malformed += 1
        else:
            self._parse(data, at)

    def _parse(self, text: str, at: float) -> None:
        try:
            message = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.counts.malformed += 1
        elif message.get("event_type") == FRAME_TIMINGS:
            self._take_request(message)
        elif not self._listens:
            self.counts.view_only += 1
        elif message.get("type") == "input":
            self._take_input(message, at)
        else:
            self._take_message(message)

    def _take_input(self, message: JsonObject, at: float) -> None:
        try:
            event = parse_input(message)
        except BadInput:
            self.counts.malformed += 1
            return
        if isinstance(event, PointerMove):
            if event.seq <= self._last_seq:
                self.counts.stale += 1
                return
        elif event.seq <= self._last_action_seq:
            self.counts.replayed += 1
            return
        else:
            self._last_action_seq = event.seq
        self._last_seq = max(self._last_seq, event.seq)
        self._listener.hear(event, at)

    def _take_request(self, message: JsonObject) -> None:
        payload = message.get("payload")
        enabled = payload.get("enabled") if isinstance(payload, dict) else None
        if isinstance(enabled, bool):
            self._listener.request_timings(enabled)
        else:
            self.counts.malformed += 1

    def _take_message(self, message: JsonObject) -> None:
        event_type, payload = message.get("event_type"), message.get("payload", {})
        if not isinstance(event_type, str) or not isinstance(payload, dict):
            self.counts.malformed += 1
            return
        self._listener.tell(event_type, payload)


def _refuse(constant: str) -> Never:
    """NaN and the infinities are no JSON, whatever Python's parser thinks."""
    raise ValueError(constant)
