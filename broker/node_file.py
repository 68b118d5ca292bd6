"""Reads nodes that do not register from a TOML file; a fault is told by file, key and mend (docs/nodes.md)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from broker.configuration import ConfigurationError, dotted, first_problem, read_toml
from broker.core.node import Node, NodeClocks, NodeSlot, SlotState
from broker.identity_settings import existing_file
from broker.node_settings import NODE_NAME, NodeSettings

_TOKEN_LEAST_CHARS = 16


def node_name(value: str) -> str:
    """A node's name. Raises ValueError."""
    if NODE_NAME.fullmatch(value) is None:
        raise ValueError(f"{value!r} is no name of a node: write letters, digits, '.', '-' or '_', at most 63")
    return value


def _host(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{value!r} is no IP address: write one such as 10.1.0.7") from None


def _token(value: str) -> str:
    if len(value) < _TOKEN_LEAST_CHARS or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"must be a token of {_TOKEN_LEAST_CHARS} printable ASCII characters or more, without spaces")
    return value


Port = Annotated[int, Field(ge=1024, le=65535)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/:@+-]{0,63}$")]
Labels = Annotated[dict[Label, LabelValue], Field(max_length=32)]
Zone = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,63}$")]
NodeName = Annotated[str, AfterValidator(node_name)]
ControlToken = Annotated[str, Field(max_length=256), AfterValidator(_token)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Slot(_Table):
    signaling_port: Port
    media_port: Port
    control_port: Port
    control_token: ControlToken | None = None
    control_token_file: Annotated[str, AfterValidator(lambda value: str(existing_file(Path(value))))] | None = None

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        if (self.control_token is None) == (self.control_token_file is None):
            raise ValueError("needs control_token or control_token_file: what the backend has as its control token")
        return self

    @property
    def token(self) -> str:
        if self.control_token_file is None:
            return self.control_token or ""
        return Path(self.control_token_file).read_text().strip()


class _Node(_Table):
    host: Annotated[str, AfterValidator(_host)]
    zone: Zone = ""
    labels: Labels = {}
    slots: Annotated[list[_Slot], Field(min_length=1, max_length=64)]


class _File(_Table):
    nodes: Annotated[dict[NodeName, _Node], Field(min_length=1)]


def clocks_of(settings: NodeSettings) -> NodeClocks:
    """How long a node may be silent."""
    return NodeClocks(
        heartbeat_s=settings.heartbeat_s,
        suspect_s=settings.suspect_s,
        grace_s=settings.grace_s,
        settle_s=settings.settle_s,
        probe_every_s=settings.probe_every_s,
        probes=settings.probes,
    )


def read_nodes(path: Path) -> tuple[Node, ...]:
    """The nodes of this file. Raises ConfigurationError."""
    try:
        file = _File.model_validate(read_toml(path))
    except ValidationError as error:
        loc, reason = first_problem(error, _File)
        raise ConfigurationError(str(path), dotted([part for part in loc if part != "[key]"]), reason) from error
    nodes = tuple(_node(path, name, table) for name, table in file.nodes.items())
    clash = next(_clashes(nodes), None)
    if clash is not None:
        raise ConfigurationError(str(path), *clash)
    return nodes


def _clashes(nodes: Iterable[Node]) -> Iterator[tuple[str, str]]:
    """Ports that two have, as (key, reason)."""
    taken: dict[tuple[str, str, int], str] = {}
    for node in nodes:
        for slot in node.slots:
            key = f"nodes.{node.name}.slots.{slot.number}"
            ports = ("tcp", slot.signaling_port), ("tcp", slot.control_port), ("udp", slot.media_port)
            for kind, port in ports:
                other = taken.setdefault((node.host, kind, port), key)
                if other != key or (kind == "tcp" and slot.signaling_port == slot.control_port):
                    yield key, f"port {port} of {node.host} is in {other} already: give each its own"


def _node(path: Path, name: str, table: _Node) -> Node:
    slots = []
    for number, slot in enumerate(table.slots):
        try:
            token = _token(slot.token)
        except (OSError, ValueError) as error:
            key = f"nodes.{name}.slots.{number}.control_token_file"
            raise ConfigurationError(str(path), key, str(error)) from error
        ports = slot.signaling_port, slot.media_port, slot.control_port
        slots.append(NodeSlot(number, *ports, token, state=SlotState.STARTING))
    return Node(name, table.host, tuple(slots), zone=table.zone, labels=table.labels)
