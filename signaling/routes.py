"""The contract between broker and relay: routes that should be served, and what the relay reports back.

Pure data. Every class turns to plain JSON values by `to_json` and back by its `from_json`, which raises ValueError
naming the field for anything that does not fit.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class SignalingKind(StrEnum):
    """Whether the relay may read a backend's signaling (JSON, SDP) or must carry it as bytes."""

    READABLE = "readable"
    OPAQUE = "opaque"


class Admission(StrEnum):
    """What the head of a signaling handshake must carry."""

    TOKEN = "token"  # noqa: S105
    SESSION_ID = "session-id"
    ADDRESS = "address"


class RouteState(StrEnum):
    """Whether both ports of a route are bound."""

    ACTIVE = "active"
    FAILED = "failed"


class RouteError(StrEnum):
    """Why a route failed. `PORT_TAKEN`: another process holds the port; the route may be tried with others."""

    PORT_TAKEN = "port_taken"
    BIND_REFUSED = "bind_refused"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a streaming backend listens: IP address, TCP signaling port, UDP media port."""

    host: str
    signaling_port: int
    media_port: int

    def __post_init__(self) -> None:
        ipaddress.ip_address(self.host)
        _check_port("signaling_port", self.signaling_port)
        _check_port("media_port", self.media_port)


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports `lo` to `hi`, both included, of which each session gets two of its own."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        _check_port("lo", self.lo)
        _check_port("hi", self.hi)
        if self.hi <= self.lo:
            raise ValueError(f"a port range needs lo < hi, not {self.lo}-{self.hi}")


@dataclass(frozen=True, slots=True)
class Route:
    """One session's way through one relay; its own ports are the relay's, those in `backend` the backend's.

    `allowed_origins` are compared with a handshake's Origin as they stand; `"*"` allows any.
    A handshake without Origin is allowed.
    """

    session_id: str
    relay_id: str
    signaling_port: int
    media_port: int
    backend: Endpoint
    backend_secret: str
    signaling: SignalingKind = SignalingKind.READABLE
    admission: Admission = Admission.SESSION_ID
    allowed_origins: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        _check_port("signaling_port", self.signaling_port)
        _check_port("media_port", self.media_port)

    def __repr__(self) -> str:
        return f"Route({self.session_id} {self.relay_id}:{self.signaling_port}/{self.media_port})"


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What a relay says of a route. Times: seconds since the epoch; `last_client_packet_at` in steps of 10 s."""

    session_id: str
    relay_id: str
    signaling_port: int
    media_port: int
    state: RouteState
    error: RouteError | None = None
    signaling_open: int = 0
    viewers: int = 0
    first_packet_at: float | None = None
    last_client_packet_at: float | None = None


@dataclass(frozen=True, slots=True)
class RelayInfo:
    """A relay's announcement. `host` is what clients connect to: an IP address, or a DNS name (TLS)."""

    id: str
    host: str
    ports: PortRange
    capacity: int
    version: str
    zone: str = ""
    draining: bool = False


def _check_port(name: str, value: int) -> None:
    if not 0 < value < 65536:
        raise ValueError(f"{name} must be a port (1 to 65535), not {value}")
