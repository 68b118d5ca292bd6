"""The contract between broker and relay: routes that should be served, and what the relay reports back.

Pure data. Every class turns to plain JSON values by `to_json` and back by its `from_json`, which raises ValueError
naming the field for anything that does not fit.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum

from signaling.fields import Fields
from signaling.fields import Json as Json

RECORD_MAX_BYTES = 16384
"""The longest `Route.record`, in UTF-8."""


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
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            raise ValueError(f"host must be an IP address, not {self.host!r}") from None
        _check_port("signaling_port", self.signaling_port)
        _check_port("media_port", self.media_port)

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values."""
        return {"host": self.host, "signaling_port": self.signaling_port, "media_port": self.media_port}

    @classmethod
    def from_json(cls, value: Json) -> Endpoint:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "endpoint")
        return cls(fields.text("host"), fields.integer("signaling_port"), fields.integer("media_port"))


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

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values."""
        return {"lo": self.lo, "hi": self.hi}

    @classmethod
    def from_json(cls, value: Json) -> PortRange:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "ports")
        return cls(fields.integer("lo"), fields.integer("hi"))


@dataclass(frozen=True, slots=True)
class Route:
    """One session's way through one relay; its own ports are the relay's, those in `backend` the backend's.

    `allowed_origins` are compared with a handshake's Origin as they stand; `"*"` allows any, and one whose port is
    `*` (`http://localhost:*`) any port of its scheme and host, or none. A handshake without Origin is allowed.
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
    record: str = field(default="", compare=False)
    """What brokers want back with the route should the table lose its data; opaque to relays, and no part of what is
    served: two routes that differ in it alone are equal."""

    def __post_init__(self) -> None:
        _check_port("signaling_port", self.signaling_port)
        _check_port("media_port", self.media_port)
        if len(self.record) * 4 > RECORD_MAX_BYTES and len(self.record.encode()) > RECORD_MAX_BYTES:
            raise ValueError(f"record must be at most {RECORD_MAX_BYTES} bytes long")

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values; they hold the backend's secret."""
        return {
            "session_id": self.session_id,
            "relay_id": self.relay_id,
            "signaling_port": self.signaling_port,
            "media_port": self.media_port,
            "backend": self.backend.to_json(),
            "backend_secret": self.backend_secret,
            "signaling": self.signaling.value,
            "admission": self.admission.value,
            "allowed_origins": list(self.allowed_origins),
            "record": self.record,
        }

    @classmethod
    def from_json(cls, value: Json) -> Route:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "route")
        return cls(
            session_id=fields.text("session_id"),
            relay_id=fields.text("relay_id"),
            signaling_port=fields.integer("signaling_port"),
            media_port=fields.integer("media_port"),
            backend=Endpoint.from_json(fields.get("backend")),
            backend_secret=fields.text("backend_secret"),
            signaling=fields.member("signaling", SignalingKind),
            admission=fields.member("admission", Admission),
            allowed_origins=fields.texts("allowed_origins"),
            record=fields.text("record") if fields.has("record") else "",
        )

    def __repr__(self) -> str:
        return f"Route({self.session_id} {self.relay_id}:{self.signaling_port}/{self.media_port})"


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What a relay says of a route. Times: seconds since the epoch, of clients in steps of 10 s.

    `last_client_input_at`: when a client last said more than a keep-alive, as far as sizes tell; None where none did,
    or where the relay does not tell.
    Ports and backend are those of the route as the relay serves it, which may be one that is not wanted any more.
    """

    session_id: str
    relay_id: str
    signaling_port: int
    media_port: int
    backend: Endpoint
    state: RouteState
    error: RouteError | None = None
    signaling_open: int = 0
    viewers: int = 0
    first_packet_at: float | None = None
    last_client_packet_at: float | None = None
    last_client_input_at: float | None = None

    def is_about(self, route: Route) -> bool:
        """Whether it was said of this very route, not of an earlier one of its session."""
        said = (self.session_id, self.relay_id, self.signaling_port, self.media_port, self.backend)
        return said == (route.session_id, route.relay_id, route.signaling_port, route.media_port, route.backend)

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values."""
        return {
            "session_id": self.session_id,
            "relay_id": self.relay_id,
            "signaling_port": self.signaling_port,
            "media_port": self.media_port,
            "backend": self.backend.to_json(),
            "state": self.state.value,
            "error": self.error.value if self.error is not None else None,
            "signaling_open": self.signaling_open,
            "viewers": self.viewers,
            "first_packet_at": self.first_packet_at,
            "last_client_packet_at": self.last_client_packet_at,
            "last_client_input_at": self.last_client_input_at,
        }

    @classmethod
    def from_json(cls, value: Json) -> RouteReport:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "report")
        return cls(
            session_id=fields.text("session_id"),
            relay_id=fields.text("relay_id"),
            signaling_port=fields.integer("signaling_port"),
            media_port=fields.integer("media_port"),
            backend=Endpoint.from_json(fields.get("backend")),
            state=fields.member("state", RouteState),
            error=fields.member("error", RouteError) if fields.get("error") is not None else None,
            signaling_open=fields.integer("signaling_open"),
            viewers=fields.integer("viewers"),
            first_packet_at=fields.time("first_packet_at"),
            last_client_packet_at=fields.time("last_client_packet_at"),
            last_client_input_at=fields.optional_time("last_client_input_at"),
        )


@dataclass(frozen=True, slots=True)
class RelayLoad:
    """What a relay carries now: sessions whose route is bound, and datagrams a second, both ways together."""

    sessions: int = 0
    datagrams_per_s: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values."""
        return {"sessions": self.sessions, "datagrams_per_s": self.datagrams_per_s}

    @classmethod
    def from_json(cls, value: Json) -> RelayLoad:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "load")
        return cls(fields.integer("sessions"), fields.number("datagrams_per_s"))


@dataclass(frozen=True, slots=True)
class RelayInfo:
    """A relay's announcement. `host` is what clients connect to: an IP address, or a DNS name (TLS).

    `ports` are those that clients connect to, `addresses` the IP addresses that media comes to, one of each family
    that the relay serves. A relay that is `draining` takes no new sessions.
    """

    id: str
    host: str
    ports: PortRange
    capacity: int
    version: str
    zone: str = ""
    draining: bool = False
    addresses: tuple[str, ...] = ()
    load: RelayLoad = field(default=RelayLoad(), compare=False)
    """It changes all the time, so it makes no other announcement of this one: nobody is told of a new load alone."""

    def to_json(self) -> dict[str, Json]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "host": self.host,
            "ports": self.ports.to_json(),
            "capacity": self.capacity,
            "version": self.version,
            "zone": self.zone,
            "draining": self.draining,
            "addresses": list(self.addresses),
            "load": self.load.to_json(),
        }

    @classmethod
    def from_json(cls, value: Json) -> RelayInfo:
        """Read `to_json`'s values; raises ValueError."""
        fields = Fields(value, "relay")
        return cls(
            id=fields.text("id"),
            host=fields.text("host"),
            ports=PortRange.from_json(fields.get("ports")),
            capacity=fields.integer("capacity"),
            version=fields.text("version"),
            zone=fields.text("zone"),
            draining=fields.flag("draining"),
            addresses=fields.texts("addresses"),
            load=RelayLoad.from_json(fields.get("load")),
        )


def _check_port(name: str, value: int) -> None:
    if not 0 < value < 65536:
        raise ValueError(f"{name} must be a port (1 to 65535), not {value}")
