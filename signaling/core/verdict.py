"""What the flow core says of one datagram: small values that the datagram path acts on."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.core.address import Sockaddr
from signaling.metrics import MediaDrop


@dataclass(frozen=True, slots=True)
class ToBackend:
    """Pass it to the backend by the upstream of `flow`.

    `ufrag` is the backend's that a STUN request asked for. `opened` says that the flow is new; it took the place of
    the flow `replaced`, and `kept`, a check that the backend sent before, now goes to the client.
    """

    flow: int
    viewer: str
    confirmed: bool
    ufrag: str | None = None
    opened: bool = False
    replaced: int | None = None
    kept: bytes | None = None


@dataclass(frozen=True, slots=True)
class ToClient:
    """Pass it to the client at this address."""

    address: Sockaddr


@dataclass(frozen=True, slots=True)
class Kept:
    """A backend's check that goes to the client as soon as there is one."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Pass it to nobody, answer nothing, count the cause."""

    cause: MediaDrop
