"""Which node a registration's token is good for, and from which addresses a node may come."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence

from broker.errors import Forbidden, Unauthenticated
from broker.identity.keys import digest_of
from broker.identity.listed_file import LOOK_S, ListedFile
from broker.identity.networks import Networks
from broker.node_settings import NodeSettings, NodeTokenSettings

_NO_TOKENS = "No node may register here: make a token by `pixelferry key new NAME --role node` and set nodes.tokens."


class NodeTokens:
    """The tokens of the settings and of a file, which `run` follows. Raises ConfigurationError when that is wrong."""

    def __init__(self, settings: NodeSettings, *, every_s: float = LOOK_S) -> None:
        self._fixed = settings.tokens
        self._file = ListedFile(settings.tokens_file, NodeTokenSettings, what="the tokens of nodes", every_s=every_s)
        self._join()

    async def run(self) -> None:
        """Until cancelled."""
        await self._file.run(self._join)

    def _join(self) -> None:
        tokens = {**self._file.entries, **self._fixed}
        self._known = [(token.sha256, token.nodes or (name,)) for name, token in tokens.items()]

    def check(self, presented: str | None, node: str) -> None:
        """Raises Unauthenticated, Forbidden where the token is not good for this node."""
        if not self._known:
            raise Forbidden(_NO_TOKENS)
        if presented is None:
            raise Unauthenticated("A node's token is needed: send 'Authorization: Bearer <token>'.")
        digest, found = digest_of(presented), None
        for known, nodes in self._known:  # to the end, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = nodes
        if found is None:
            raise Unauthenticated("This node's token is not known here.", presented=True)
        if not any(_names(pattern, node) for pattern in found):
            raise Forbidden(f"This token is not good for node {node!r}: its own setting 'nodes' says for which it is.")


class NodeAddresses:
    """From where nodes may register, and where their backends may be."""

    def __init__(self, networks: Sequence[str], *, allow_loopback: bool) -> None:
        self._networks = Networks(networks)
        self._allow_loopback = allow_loopback

    def checked(self, address: str) -> str:
        """The address in its usual form. Raises Forbidden for what is no node's: then nothing may be sent there."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            raise Forbidden(f"{address!r} is no IP address.") from None
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        if parsed.is_loopback:
            if self._allow_loopback:
                return str(parsed)
            raise Forbidden(f"{parsed} is this machine itself: to try that out set nodes.allow_loopback.")
        if parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed == _BROADCAST:
            raise Forbidden(f"{parsed} can be no node's address: register one that brokers and relays reach.")
        if str(parsed) not in self._networks:
            raise Forbidden(f"{parsed} is in none of the networks that nodes may be in: add it to nodes.networks.")
        return str(parsed)


_BROADCAST = ipaddress.ip_address("255.255.255.255")


def _names(pattern: str, node: str) -> bool:
    return node.startswith(pattern[:-1]) if pattern.endswith("*") else node == pattern
