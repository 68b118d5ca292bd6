"""A slot, which is one place for one streaming backend, and what a provider says of the backend in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from signaling.routes import Endpoint


@dataclass(frozen=True, slots=True)
class SlotRef:
    """One of the backends that a profile may have at once, or one of those of a node.

    `number` counts from 0 to the profile's slots less one and is what sessions claim; on a node it is the node's own
    number. `id` names this one occupation of it, so that a backend being ended is never taken for its successor.
    `node` and `zone` are empty where backends run beside the broker.
    """

    provider: str
    profile: str
    number: int
    id: str
    node: str = ""
    zone: str = ""

    @property
    def claim(self) -> str:
        """The key that has at most one owner in the store: a node's slots belong to all profiles."""
        if self.node:
            return node_slot_claim(self.node, self.number)
        return slot_claim(self.provider, self.profile, self.number)

    def is_of(self, session_id: str) -> bool:
        """Whether this occupation is that session's, as far as `id` tells, which `occupation` ends."""
        return f"-{session_id[:8]}" in self.id


def occupation(session_id: str, run: int) -> str:
    """What the ids of a session's slots end with; `run` tells its starts apart."""
    return session_id[:8] if run == 0 else f"{session_id[:8]}-{run}"


def slot_claim(provider: str, profile: str, number: int) -> str:
    """The claim of a numbered slot."""
    return f"slot/{provider}/{profile}/{number}"


def node_slot_claim(node: str, number: int) -> str:
    """The claim of a node's slot; no provider is called `node`."""
    return f"slot/node/{node}/{number}"


class BackendState(StrEnum):
    """How far a backend is. `CLAIMED`: it answered its readiness call and serves a session.

    `FAILED` is final, and so is `LOST`: its whole node is gone.
    """

    STARTING = "starting"
    IDLE = "idle"
    CLAIMED = "claimed"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Activity:
    """What a backend says of its viewers' input; `last_input_at` is None before the first (seconds since the epoch)."""

    last_input_at: float | None


@dataclass(frozen=True, slots=True)
class Backend:
    """A provider's word on one slot. `endpoint` may change while `STARTING`; `message` says why it failed or is lost.

    `activity` is None where the backend does not tell; what its relay saw pass then counts.
    """

    state: BackendState
    endpoint: Endpoint | None = None
    session_id: str | None = None
    message: str = ""
    activity: Activity | None = None
