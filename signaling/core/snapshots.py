"""What the cores tell a successor: plain values, with ages in the place of times, for clocks are not handed over."""

from __future__ import annotations

import re
from dataclasses import dataclass

from signaling.core.address import Sockaddr
from signaling.core.media_path import IceCredentials, TransportAddress

TRANSACTION_ID_BYTES = 12
"""RFC 8489 §5."""

_HALVES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ViewerSnapshot:
    """A viewer of the flow table. Credentials: oldest first. `kept`: a check of the backend, and how old it is."""

    id: str
    host: str
    client: tuple[IceCredentials, ...]
    backend: tuple[IceCredentials, ...]
    kept: tuple[bytes, float] | None
    silent_s: float | None


@dataclass(frozen=True, slots=True)
class FlowSnapshot:
    """A flow of the flow table. `checks`: transaction id and the client's ufrag, oldest first."""

    id: int
    source: Sockaddr
    viewer: str
    silent_s: float
    confirmed: bool
    answered: bool
    bytes_in: int
    bytes_out: int
    checks: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class FlowTableSnapshot:
    """All flows of a session. `transactions`: runs of transaction ids, joined, that an address was first to use."""

    viewers: tuple[ViewerSnapshot, ...]
    flows: tuple[FlowSnapshot, ...]
    next_id: int
    transactions: tuple[tuple[Sockaddr, bytes], ...]


@dataclass(frozen=True, slots=True)
class TransportsSnapshot:
    """What one side told of its m-lines."""

    by_mid: tuple[tuple[str, str], ...]
    by_index: tuple[tuple[int, str], ...]
    latest: str | None
    told: tuple[tuple[str | None, str | int | None], ...]


@dataclass(frozen=True, slots=True)
class DirectionSnapshot:
    """What an editor remembers of one direction; `hidden` are IP addresses that must not pass."""

    transports: TransportsSnapshot
    hidden: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EditorSnapshot:
    """What an editor remembers of a viewer."""

    to_client: DirectionSnapshot
    to_backend: DirectionSnapshot


Targets = tuple[tuple[TransportAddress, str | None], ...]
"""Media addresses that a backend named, each with the ufrag it is of where that was told; oldest first."""


def is_text(*words: str | int | None) -> bool:
    """Whether these can be encoded: JSON's escapes can spell half of a character, which no STUN message can name."""
    return not any(isinstance(word, str) and _HALVES.search(word) for word in words)
