"""What the flow table remembers: viewers with their ICE credentials, and flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from signaling.core.address import Sockaddr
from signaling.core.media_path import IceCredentials, Side
from signaling.core.stun import StunMessage


@dataclass(slots=True, eq=False)
class Viewer:
    """A viewer whose signaling was admitted: what its descriptions told, and when it was heard."""

    id: str
    host: str
    credentials: dict[Side, dict[tuple[str, str], IceCredentials]] = field(
        default_factory=lambda: {side: {} for side in Side}
    )
    kept: tuple[StunMessage, bytes, float] | None = None
    heard_at: float | None = None  # on a confirmed flow

    def named(self, side: Side, ufrag: str) -> list[IceCredentials]:
        """All that were told under this ufrag: none can be taken away by telling another."""
        return [known for (name, _), known in self.credentials[side].items() if name == ufrag]


@dataclass(slots=True, eq=False)
class Flow:
    """A client address that media comes from, and how far it proved itself."""

    id: int
    source: Sockaddr
    viewer: Viewer
    seen: float
    confirmed: bool = False
    answered: bool = False  # something of the backend went to the client, by which a next request proves a path
    bytes_in: int = 0
    bytes_out: int = 0
    checks: dict[bytes, str] = field(default_factory=dict)  # passed checks: transaction id -> the client's ufrag


@dataclass(frozen=True, slots=True)
class Arrival:
    """A client's datagram without its bytes."""

    source: Sockaddr
    size: int
    at: float


Key = TypeVar("Key")
Value = TypeVar("Value")


def put(bounded: dict[Key, Value], key: Key, value: Value, size: int) -> None:
    """Add an entry; the oldest beyond `size` goes."""
    bounded[key] = value
    if len(bounded) > size:
        del bounded[next(iter(bounded))]
