"""The contract between broker and relay: routes that should be served, and what the relay reports back.

Pure data. Every class turns to plain JSON values by `to_json` and back by its `from_json`, which raises ValueError
naming the field for anything that does not fit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


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
        fields = _Fields(value, "endpoint")
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
        fields = _Fields(value, "ports")
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

    def __post_init__(self) -> None:
        _check_port("signaling_port", self.signaling_port)
        _check_port("media_port", self.media_port)

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
        }

    @classmethod
    def from_json(cls, value: Json) -> Route:
        """Read `to_json`'s values; raises ValueError."""
        fields = _Fields(value, "route")
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
        fields = _Fields(value, "report")
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
class RelayInfo:
    """A relay's announcement. `host` is what clients connect to: an IP address, or a DNS name (TLS)."""

    id: str
    host: str
    ports: PortRange
    capacity: int
    version: str
    zone: str = ""
    draining: bool = False

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
        }

    @classmethod
    def from_json(cls, value: Json) -> RelayInfo:
        """Read `to_json`'s values; raises ValueError."""
        fields = _Fields(value, "relay")
        return cls(
            id=fields.text("id"),
            host=fields.text("host"),
            ports=PortRange.from_json(fields.get("ports")),
            capacity=fields.integer("capacity"),
            version=fields.text("version"),
            zone=fields.text("zone"),
            draining=fields.flag("draining"),
        )


def _check_port(name: str, value: int) -> None:
    if not 0 < value < 65536:
        raise ValueError(f"{name} must be a port (1 to 65535), not {value}")


Member = TypeVar("Member", bound=StrEnum)


class _Fields:
    """Reads a JSON object field by field; every complaint names object and field."""

    def __init__(self, value: Json, what: str) -> None:
        if not isinstance(value, Mapping):
            raise ValueError(f"{what} must be a JSON object")
        self._value = value
        self._what = what

    def get(self, name: str) -> Json:
        """The field as it is; it may be null, but not missing."""
        if name not in self._value:
            raise ValueError(f"{self._what}.{name} is missing")
        return self._value[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._wrong(name, "a list of strings")
        texts = tuple(item for item in value if isinstance(item, str))
        if len(texts) < len(value):
            raise self._wrong(name, "a list of strings")
        return texts

    def integer(self, name: str) -> int:
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        return value

    def flag(self, name: str) -> bool:
        value = self.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def time(self, name: str) -> float | None:
        value = self.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise self._wrong(name, "a time in seconds or null")
        return value

    def optional_time(self, name: str) -> float | None:
        return self.time(name) if name in self._value else None

    def member(self, name: str, kind: type[Member]) -> Member:
        value = self.get(name)
        try:
            return kind(value)  # type: ignore[arg-type]
        except ValueError:
            raise self._wrong(name, "one of " + ", ".join(kind)) from None

    def _wrong(self, name: str, wanted: str) -> ValueError:
        return ValueError(f"{self._what}.{name} must be {wanted}")
