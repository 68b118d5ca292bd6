"""What the flow table remembers: viewers with their ICE credentials, and flows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from signaling.core.address import Sockaddr
from signaling.core.media_path import IceCredentials, Side
from signaling.core.snapshots import TRANSACTION_ID_BYTES, FlowSnapshot, ViewerSnapshot, is_text
from signaling.core.stun import StunMessage, parse_binding


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

    def snapshot(self, now: float) -> ViewerSnapshot:
        """All of it, as plain values."""
        client, backend = (
            tuple(one for one in self.credentials[side].values() if is_text(one.ufrag, one.pwd))
            for side in (Side.CLIENT, Side.BACKEND)
        )
        kept = (self.kept[1], now - self.kept[2]) if self.kept is not None else None
        silent_s = now - self.heard_at if self.heard_at is not None else None
        return ViewerSnapshot(self.id, self.host, client, backend, kept, silent_s)

    @classmethod
    def restored(cls, told: ViewerSnapshot, now: float) -> Viewer:
        """The viewer that was told of."""
        viewer = cls(told.id, told.host, heard_at=now - told.silent_s if told.silent_s is not None else None)
        for side, known in ((Side.CLIENT, told.client), (Side.BACKEND, told.backend)):
            viewer.credentials[side] = {(one.ufrag, one.pwd): one for one in known}
        message = parse_binding(told.kept[0]) if told.kept is not None else None
        if told.kept is not None and message is not None:
            viewer.kept = (message, told.kept[0], now - told.kept[1])
        return viewer

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

    def snapshot(self, now: float) -> FlowSnapshot:
        """All of it, as plain values."""
        return FlowSnapshot(
            self.id,
            self.source,
            self.viewer.id,
            now - self.seen,
            self.confirmed,
            self.answered,
            self.bytes_in,
            self.bytes_out,
            tuple(self.checks.items()),
        )

    @classmethod
    def restored(cls, told: FlowSnapshot, viewer: Viewer, now: float) -> Flow:
        """The flow that was told of."""
        seen, checks = now - told.silent_s, dict(told.checks)
        proof = (told.confirmed, told.answered)
        return cls(told.id, told.source, viewer, seen, *proof, told.bytes_in, told.bytes_out, checks)


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


def runs(users: Mapping[bytes, Sockaddr]) -> tuple[tuple[Sockaddr, bytes], ...]:
    """Transaction ids by who used them, in their order, each stretch of one address joined."""
    stretches = groupby(users.items(), key=lambda item: item[1])
    return tuple((source, b"".join(used for used, _ in stretch)) for source, stretch in stretches)


def users_of(told: Iterable[tuple[Sockaddr, bytes]]) -> dict[bytes, Sockaddr]:
    """What `runs` was made of."""
    step = TRANSACTION_ID_BYTES
    return {used[at : at + step]: source for source, used in told for at in range(0, len(used), step)}
