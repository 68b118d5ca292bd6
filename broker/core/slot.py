"""A slot, which is one place for one streaming backend, and what a provider says of the backend in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from signaling.routes import Endpoint


@dataclass(frozen=True, slots=True)
class SlotRef:
    """One of the backends that a profile may have at once.

    `number` counts from 0 to the profile's slots less one and is what sessions claim; `id` names this one occupation
    of it, so that a backend being ended is never taken for its successor.
    """

    provider: str
    profile: str
    number: int
    id: str

    @property
    def claim(self) -> str:
        """The key that has at most one owner in the store."""
        return slot_claim(self.provider, self.profile, self.number)


def slot_claim(provider: str, profile: str, number: int) -> str:
    """The claim of a numbered slot."""
    return f"slot/{provider}/{profile}/{number}"


class BackendState(StrEnum):
    """How far a backend is. `CLAIMED`: it answered its readiness call and serves a session. `FAILED` is final."""

    STARTING = "starting"
    IDLE = "idle"
    CLAIMED = "claimed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Activity:
    """What a backend says of its viewers' input; `last_input_at` is None before the first (seconds since the epoch)."""

    last_input_at: float | None


@dataclass(frozen=True, slots=True)
class Backend:
    """A provider's word on one slot. `endpoint` may change while `STARTING`; `message` says why it `FAILED`.

    `activity` is None where the backend does not tell; what its relay saw pass then counts.
    """

    state: BackendState
    endpoint: Endpoint | None = None
    session_id: str | None = None
    message: str = ""
    activity: Activity | None = None
