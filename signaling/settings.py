"""Settings of the relay, field by field; a wrong value names itself and the mend."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signaling.routes import PortRange

Seconds = Annotated[float, Field(gt=0, le=86400)]


def _ip_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"must be an IP address such as 127.0.0.1 or ::1, not {value!r}") from None


def _port_range(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value, re.ASCII)
    if match is None:
        raise ValueError(f"must be two ports such as 31000-31999, not {value!r}")
    PortRange(int(match[1]), int(match[2]))
    return value


IpAddress = Annotated[str, AfterValidator(_ip_address)]


class RelaySettings(BaseModel):
    """One relay process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "relay"
    """Name of this relay in the route table; unique among relays."""

    host: IpAddress = "127.0.0.1"
    """Address to bind. `0.0.0.0` and `::` (both families) need `advertised_host`."""

    advertised_host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """What clients connect to: an IP address or a DNS name. Default: `host`."""

    media_host: IpAddress | None = None
    """The IP address in the candidates that clients get. Default: `advertised_host`; needed where that is a name."""

    ports: Annotated[str, AfterValidator(_port_range)] = "31000-31999"
    """Ports that sessions are given, first and last included; outside the kernel's ephemeral range."""

    upstream_host: IpAddress | None = None
    """Source address towards backends. Default: what the kernel's routes choose.

    On loopback that is `host`; a backend there that names none but addresses of the machine's networks is met on those.
    """

    capacity: Annotated[int, Field(ge=1, le=32767)] = 100
    """How many sessions at once."""

    zone: Annotated[str, Field(max_length=63)] = ""
    """Where the relay stands, for placement; any word."""

    handshake_timeout_s: Seconds = 10
    """Time that a signaling connection has for its whole handshake head."""

    head_max_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 16384
    """Longest handshake head; a longer one is refused."""

    max_handshakes: Annotated[int, Field(ge=1, le=10000)] = 64
    """Signaling connections of one session that may be in their handshake at once; of more, the slowest is cut."""

    frame_max_bytes: Annotated[int, Field(ge=1024, le=1 << 26)] = 262144
    """Longest signaling message; a longer one closes the connection."""

    backend_timeout_s: Seconds = 10
    """Time for a connection to a backend to open and answer the handshake."""

    close_timeout_s: Seconds = 2
    """Time that viewers have to take leave when a route is withdrawn; then they are cut."""

    max_viewers: Annotated[int, Field(ge=1, le=256)] = 8
    """Viewers of one session at once."""

    max_tuples: Annotated[int, Field(ge=1, le=256)] = 8
    """Client addresses (5-tuples) of one session that media may come from at once."""

    live_s: Seconds = 15
    """A confirmed address that was silent for longer makes room for a new one."""

    idle_s: Seconds = 30
    """An address that was silent for longer is forgotten."""

    socket_buffer_bytes: Annotated[int, Field(ge=4096, le=1 << 28)] = 4 << 20
    """Receive and send buffer of each media socket; the kernel grants at most net.core.rmem_max and wmem_max."""

    report_s: Seconds = 10
    """Longest time between two reports of a route, and between two announcements of the relay."""

    table_timeout_s: Seconds = 5
    """Time for one call to the route table."""

    table_retry_s: Seconds = 1
    """Pause before the route table is asked again after it could not be reached."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> RelaySettings:
        if self.advertised_host is None and ipaddress.ip_address(self.host).is_unspecified:
            raise ValueError(f"host {self.host} binds every address: set advertised_host to the one that clients use")
        if self.media_host is None and not _is_ip_address(self.client_host):
            raise ValueError(f"advertised_host {self.client_host} is a name: set media_host to its IP address")
        return self

    @property
    def client_host(self) -> str:
        """What clients connect to."""
        return self.advertised_host or self.host

    @property
    def candidate_host(self) -> str:
        """The IP address in the candidates that clients get."""
        return self.media_host or self.client_host

    @property
    def port_range(self) -> PortRange:
        """`ports`, parsed."""
        lo, hi = self.ports.split("-")
        return PortRange(int(lo), int(hi))


def _is_ip_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
