"""Whose pages may speak to the API, and under which names.

Without identity only this machine's own names and pages may: a page of a foreign origin is told apart by its Origin, a
foreign name that was made to point here (DNS rebinding) by its Host. With identity each request must say who asks, and
no page can do that unasked: then the setting `cors_origins` counts. Pure rules; `broker.api.middleware` applies them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REMEMBERED = 256
"""Requests name the same few hosts and addresses again and again; so many of them are not parsed anew."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host, without brackets, and the port that was written with it."""

    name: str
    port: int | None

    @staticmethod
    def parse(text: str) -> Authority | None:
        """Read a Host header, or what follows an origin's scheme; None where it is neither."""
        return _parsed(text)


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> Authority | None:
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    return Authority(plain_name(match[1] or match[2]), None if match[3] is None else int(match[3]))


@dataclass(frozen=True, slots=True)
class Access:
    """`names` are those under which this API may be asked for, besides the loopback ones.

    `origins` are those whose pages may use it, `*` among them for all; None while there is no identity.
    """

    names: frozenset[str] = frozenset()
    origins: frozenset[str] | None = None

    def admits_host(self, host: str, local_address: str) -> bool:
        """Whether this Host means us: by name, or by the very address that the connection came to."""
        authority = Authority.parse(host)
        if authority is None:
            return False
        if self.origins is not None:
            return True
        return authority.name in LOOPBACK_NAMES or authority.name in (*self.names, plain_name(local_address))

    def admits_origin(self, origin: str, host: str) -> bool:
        """Whether pages of this origin may use the API that they reach under this Host."""
        return (self.origins is not None and "*" in self.origins) or self.is_trusted_origin(origin, host)

    def allowed_origin(self, origin: str, host: str) -> str | None:
        """What to tell a page of this origin (Access-Control-Allow-Origin); None where it may not read the answer."""
        if self.origins is not None and "*" in self.origins:
            return "*"
        return origin if self.admits_origin(origin, host) else None

    def is_trusted_origin(self, origin: str, host: str) -> bool:
        """The same, without those that are admitted only because all are."""
        if self.origins is not None and origin.lower() in self.origins:
            return True
        scheme, _, rest = origin.lower().partition("://")
        theirs, ours = Authority.parse(rest), Authority.parse(host)
        if scheme not in _DEFAULT_PORTS or theirs is None or ours is None:
            return False
        if theirs.name in LOOPBACK_NAMES and self.origins is None:
            return True
        default = _DEFAULT_PORTS[scheme]
        return (theirs.name, theirs.port or default) == (ours.name, ours.port or default)


@lru_cache(_REMEMBERED)
def plain_name(name: str) -> str:
    """A name in the one way that it is compared: an address without zone, IPv4 as IPv4."""
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def origins_for_relays(names: Iterable[str]) -> tuple[str, ...]:
    """The same rule for signaling, as `Route.allowed_origins` has it: pages of these names, whatever their port."""
    hosts = [f"[{name}]" if ":" in name else name for name in dict.fromkeys((*LOOPBACK_NAMES, *names))]
    return tuple(f"{scheme}://{host}:*" for host in hosts for scheme in _DEFAULT_PORTS)
