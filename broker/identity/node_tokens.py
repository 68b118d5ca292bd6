"""Which node a registration's token is good for, and from which addresses a node may come."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.errors import Forbidden, Unauthenticated
from broker.identity.keys import digest_of, file_state
from broker.identity.networks import Networks
from broker.identity_settings import KeyName
from broker.node_settings import NodeSettings, NodeTokenSettings

logger = logging.getLogger(__name__)

_LOOK_S = 2.0
_NO_TOKENS = "No node may register here: make a token by `pixelferry key new NAME --role node` and set nodes.tokens."


class NodeTokens:
    """The tokens of the settings and of a file; `run` reads that anew when it was changed, so that nodes come and go.

    A file that is wrong or gone then leaves the tokens as they were, and is told of in the log. Raises
    ConfigurationError when it is so at first.
    """

    def __init__(self, settings: NodeSettings, *, every_s: float = _LOOK_S) -> None:
        self._fixed, self._path, self._every_s = settings.tokens, settings.tokens_file, every_s
        self._seen = None if self._path is None else file_state(self._path)
        self._known = self._digests({} if self._path is None else read_node_tokens(self._path))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            if self._path is None:
                continue
            state = await asyncio.to_thread(file_state, self._path)
            if state != self._seen:
                self._seen = state
                await self._read(self._path)

    async def _read(self, path: Path) -> None:
        try:
            tokens = await asyncio.to_thread(read_node_tokens, path)
        except ConfigurationError as error:
            logger.warning("the tokens of nodes stay as they were: %s", error)
        else:
            self._known = self._digests(tokens)
            logger.info("the tokens of nodes were read anew: %d of %s", len(tokens), path)

    def _digests(self, listed: Mapping[str, NodeTokenSettings]) -> list[tuple[str, tuple[str, ...]]]:
        tokens = {**listed, **self._fixed}
        return [(token.sha256, token.nodes or (name,)) for name, token in tokens.items()]

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


class _TokensFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: dict[KeyName, NodeTokenSettings] = Field(min_length=1)


def read_node_tokens(path: Path) -> dict[str, NodeTokenSettings]:
    """A file's tokens. Raises ConfigurationError naming the one that is wrong."""
    try:
        return dict(_TokensFile.model_validate({"tokens": read_toml(path)}).tokens)
    except ValidationError as error:
        loc, reason = first_problem(error, _TokensFile)
        raise ConfigurationError(str(path), dotted(loc[1:]), reason) from error
