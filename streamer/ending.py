"""Why a viewer's stay ends, and how its client is told (docs/protocol.md §1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ending:
    """A WebSocket close code and reason; with an `error`, a message of that code precedes the close."""

    code: int
    reason: str
    error: str | None = None


LEFT = Ending(1000, "bye")
MEDIA_LOST = Ending(1011, "The media connection was lost.")
SHUTTING_DOWN = Ending(1012, "The backend is shutting down.")
SESSION_ENDED = Ending(4001, "The session ended.")
BUSY = Ending(4003, "As many viewers as may be are watching. Close one of them first.", "busy")
NO_MESSAGE = Ending(1008, "This is no message of the protocol.", "bad_message")


def bad_offer(why: str) -> Ending:
    """The client's offer cannot be answered."""
    return Ending(1008, why, "bad_offer")


def ice_timeout(seconds: float) -> Ending:
    """No media connection came about in time."""
    why = f"No media connection came about within {seconds:g} seconds. Is the media port reachable by UDP?"
    return Ending(1011, why, "ice_timeout")


def backend_failed(why: str) -> Ending:
    """The application is at its end."""
    return Ending(1011, why, "backend_failed")
