"""Networks that peers are trusted from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


class Networks:
    """Addresses and networks, written as `10.0.0.0/8`; an IPv4 peer of an IPv6 socket counts as IPv4."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return any((mapped or parsed) in network for network in self._networks)

    def client_of(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """Whom a request comes from: the peer, or what the nearest trusted hop says of the one before it."""
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        client = peer
        while hops and client in self:
            hop = hops.pop()
            if not _is_address(hop):
                break
            client = hop
        return client


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
