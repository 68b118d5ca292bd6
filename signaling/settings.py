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

    media_host_2: IpAddress | None = None
    """The same of the other family, where the relay is reached by IPv4 and IPv6 (`host` is then `::`). A viewer gets
    the address of the family that its signaling came by."""

    ports: Annotated[str, AfterValidator(_port_range)] = "31000-31999"
    """Ports that sessions are given, first and last included; outside the kernel's ephemeral range."""

    advertised_ports: Annotated[str, AfterValidator(_port_range)] | None = None
    """Ports that clients connect to where a NAT or load balancer maps them, TCP and UDP alike, one by one and in order,
    to `ports`. Default: `ports`."""

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
    """Longest time between two reports of a route."""

    announce_s: Seconds = 1
    """Time between two announcements of the relay."""

    announce_ttl_s: Seconds = 2.5
    """Time for which an announcement counts; without the next one the relay gets no new sessions."""

    drain_s: Annotated[float, Field(ge=0, le=86400)] = 20
    """Time that sessions have to end or move when the relay is told to stop; then their viewers are told to come again
    elsewhere, and cut. What starts the relay must not kill it before."""

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
        if self.media_host_2 is not None:
            self._check_families(self.media_host_2)
        return self

    def _check_families(self, second: str) -> None:
        if _is_ipv6(second) == _is_ipv6(self.candidate_host):
            raise ValueError(f"media_host_2 {second} is of the same family as {self.candidate_host}: one is enough")
        if self.host != "::":
            raise ValueError(f"host {self.host} is of one family: set it to :: so that media_host_2 can be reached too")

    @model_validator(mode="after")
    def _ports_are_mapped_one_by_one(self) -> RelaySettings:
        clients, own = self.client_port_range, self.port_range
        if clients.hi - clients.lo != own.hi - own.lo:
            raise ValueError(f"advertised_ports {self.advertised_ports} must be as many as ports {self.ports}")
        return self

    @model_validator(mode="after")
    def _announcements_overlap(self) -> RelaySettings:
        if self.announce_ttl_s <= self.announce_s:
            raise ValueError(f"announce_ttl_s must be longer than announce_s ({self.announce_s:g})")
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
    def candidate_hosts(self) -> tuple[str, ...]:
        """All addresses that clients may get, one of each family."""
        return (self.candidate_host,) if self.media_host_2 is None else (self.candidate_host, self.media_host_2)

    def candidate_host_for(self, client_host: str) -> str:
        """The one for a client whose signaling comes from this address."""
        address = ipaddress.ip_address(client_host.partition("%")[0])
        family = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None
        return next((host for host in self.candidate_hosts if _is_ipv6(host) is family), self.candidate_host)

    @property
    def port_range(self) -> PortRange:
        """`ports`, parsed."""
        return _parsed(self.ports)

    @property
    def client_port_range(self) -> PortRange:
        """The ports that clients connect to."""
        return _parsed(self.advertised_ports or self.ports)

    def bound_port(self, port: int) -> int:
        """The port to bind for one that clients connect to; the same where that is none of ours."""
        clients = self.client_port_range
        return port - clients.lo + self.port_range.lo if clients.lo <= port <= clients.hi else port


def _parsed(ports: str) -> PortRange:
    lo, hi = ports.split("-")
    return PortRange(int(lo), int(hi))


def _is_ipv6(host: str) -> bool:
    return ":" in host


def _is_ip_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
