"""How addresses are spelled: the kernel's form, and one form to compare by."""

from __future__ import annotations

import ipaddress

Sockaddr = tuple[str, int] | tuple[str, int, int, int]
"""A transport address as the kernel spells it, IPv6 with flow info and scope."""


def canonical_host(host: str) -> str:
    """One spelling for each host: IPv4 out of IPv4-mapped IPv6, no scope; raises ValueError for what is no address."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
