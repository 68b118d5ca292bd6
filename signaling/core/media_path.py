"""The seam between signaling and media: what signaling tells a viewer's media path, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Side(StrEnum):
    """Which end of the relay something belongs to."""

    CLIENT = "client"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True)
class TransportAddress:
    """An IP address and a UDP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One side's `ice-ufrag` and `ice-pwd` (RFC 8839 §5.4); `lite`: its description says `a=ice-lite` (§5.3)."""

    ufrag: str
    pwd: str
    lite: bool = False


class ViewerPath(Protocol):
    """One viewer's media path through the relay, from the admission of its signaling to its close."""

    @property
    def client_facing(self) -> TransportAddress:
        """What the client is told: the relay's advertised media address."""

    @property
    def backend_facing(self) -> TransportAddress:
        """The upstream socket bound beforehand: what the backend is told in place of the client's candidates."""

    @property
    def silent_s(self) -> float | None:
        """Seconds since the client's media was last heard (about a second off); None where it never was."""

    def learn_credentials(self, side: Side, credentials: IceCredentials) -> None:
        """Register these beside the old ones."""

    def note_input(self) -> None:
        """The client said by signaling more than a keep-alive."""

    def learn_backend_candidate(self, address: TransportAddress, *, ufrag: str | None) -> bool:
        """Offer a media address of the backend; False when it is not on the backend's own host: refused and counted."""

    def close(self) -> None:
        """Give the path and its sockets back. Idempotent."""


class MediaPort(Protocol):
    """The media side of one route."""

    def open_viewer(self, viewer_id: str, client_host: str) -> ViewerPath:
        """Open a path for a viewer whose signaling comes from `client_host`; raises `TooManyViewers`."""
