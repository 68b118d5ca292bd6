"""Settings of nodes, field by field: machines whose streaming backends were started by themselves (docs/nodes.md)."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from broker.identity_settings import Digest, KeyName, existing_file, listed

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\*?", re.ASCII)

Seconds = Annotated[float, Field(gt=0, le=3600)]


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"{value!r} is no network: write an address, or one such as 10.0.0.0/8") from None


def _name_pattern(value: str) -> str:
    if _PATTERN.fullmatch(value) is None:
        raise ValueError(f"{value!r} names no nodes: write a name such as gpu-1, or a beginning such as gpu-*")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


NodeNames = Annotated[tuple[Annotated[str, AfterValidator(_name_pattern)], ...], NoDecode, BeforeValidator(listed)]


class NodeTokenSettings(_Section):
    """One token by which nodes register, as `pixelferry key new NAME --role node` prints it."""

    sha256: Digest
    """The token's digest."""

    nodes: NodeNames = ()
    """The nodes that it is good for: gpu-1, or gpu-* for all that begin so. Default: the one of its own name."""


class NodeSettings(_Section):
    """Nodes: who may register, from where, and how long one may be silent."""

    file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """A TOML file of nodes that do not register: the broker asks their backends instead (docs/nodes.md)."""

    tokens: dict[KeyName, NodeTokenSettings] = Field(default_factory=dict)
    """Tokens by which nodes register, by name."""

    tokens_file: Annotated[Path, AfterValidator(existing_file)] | None = None
    """A TOML file of more of them, written as in `tokens`."""

    networks: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(listed)] = ()
    """Addresses or networks from which nodes register, and in which their backends are. Without any nobody may."""

    allow_loopback: bool = False
    """Let nodes be on this very machine too, at 127.0.0.0/8 or ::1: for one machine that tries it all out."""

    heartbeat_s: Seconds = 3
    """How often a node is to say that it lives."""

    suspect_s: Seconds = 8
    """Silent for so long, a node takes no new sessions."""

    grace_s: Seconds = 15
    """Silent for so long, a node's backends are asked themselves; those that do not answer either are lost."""

    settle_s: Annotated[float, Field(ge=0, le=3600)] = 10
    """A node that comes back from a silence takes new sessions once it was steady for so long."""

    probes: Annotated[int, Field(ge=1, le=100)] = 3
    """So often in a row a backend of a silent node has to leave the question unanswered until it is lost."""

    probe_every_s: Seconds = 1
    """How often it is asked."""

    @model_validator(mode="after")
    def _silences_follow_each_other(self) -> Self:
        if not self.heartbeat_s < self.suspect_s <= self.grace_s:
            raise ValueError("must be heartbeat_s < suspect_s <= grace_s: a node that is late once is not yet silent")
        return self
