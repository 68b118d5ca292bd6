"""What nodes say of themselves, and what they and admins are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from broker.core.node import Node, NodeSlot, SlotState
from broker.node_file import Labels, Port, Zone
from broker.node_settings import NODE_NAME

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{0,64}$")]


class _Body(BaseModel):
    """Fields that are not known are ignored, so that a newer node may speak to an older broker."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SlotSaid(_Body):
    """One streaming backend of the node."""

    number: Annotated[int, Field(ge=0, le=63)]
    """Its place; what sessions hold."""

    signaling_port: Port
    media_port: Port
    control_port: Port
    """Where its control API is (docs/protocol.md, control)."""

    control_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{16,256}$")]
    """The bearer token of its control API, fresh for each run of the backend."""

    instance: Annotated[Word, Field(min_length=1)]
    """This run of the backend: another text after each start."""

    state: Literal["starting", "idle", "claimed", "failed"]
    session_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")] | None = None
    """The session that it says it serves."""

    message: Annotated[str, Field(max_length=700)] = ""
    """Why it failed, or how its run before this one ended."""


class NodeSaid(_Body):
    """A node as it is now. Each registration says all of it."""

    slots: Annotated[tuple[SlotSaid, ...], Field(max_length=64)]
    host: Annotated[str, Field(max_length=64)] | None = None
    """The IP address at which brokers and relays reach its backends. Default: where the registration comes from."""

    zone: Zone = ""
    labels: Labels = {}
    """What profiles choose it by."""

    boot: Word = ""
    """This run of what registers: another text after each start."""

    version: Word = ""
    draining: bool = False
    """Whether it takes no new sessions."""

    @field_validator("slots")
    @classmethod
    def _each_number_once(cls, slots: tuple[SlotSaid, ...]) -> tuple[SlotSaid, ...]:
        if len({slot.number for slot in slots}) < len(slots):
            raise ValueError("each slot needs a number of its own")
        return slots

    def node(self, name: str, host: str) -> Node:
        """The same as the core has it."""
        slots = tuple(
            NodeSlot(
                slot.number,
                slot.signaling_port,
                slot.media_port,
                slot.control_port,
                slot.control_token,
                slot.instance,
                SlotState(slot.state),
                slot.session_id,
                slot.message,
            )
            for slot in self.slots
        )
        return Node(
            name,
            host,
            slots,
            zone=self.zone,
            labels=self.labels,
            boot=self.boot,
            version=self.version,
            draining=self.draining,
        )


class NodePath(_Body):
    """A node named in the path."""

    name: Annotated[str, Field(pattern=f"^{NODE_NAME.pattern}$")]


class ReleaseReply(BaseModel):
    """A session that is over, which the backend in this slot still has."""

    number: int
    session_id: str


class RegisteredReply(BaseModel):
    """What a node is told."""

    name: str
    heartbeat_s: float
    """How long until it is to register again, at the longest."""

    release: list[ReleaseReply]
    """What the node is to end by itself (`DELETE /v1/session?session_id=…` at its backend)."""


class SlotReply(BaseModel):
    """One streaming backend of a node."""

    number: int
    state: Literal["starting", "idle", "claimed", "failed"]
    session_id: str | None
    """The session that holds the slot."""

    message: str


class NodeReply(BaseModel):
    """A node as this broker knows it."""

    name: str
    host: str
    zone: str
    labels: dict[str, str]
    presence: Literal["heard", "suspect", "silent", "left"]
    takes_sessions: bool
    draining: bool
    version: str
    last_heard_s: float
    """How long ago it was heard."""

    slots: list[SlotReply]


class NodesReply(BaseModel):
    """All nodes, by name."""

    items: list[NodeReply]
