"""A node: a machine whose streaming backends were started by itself. When it may take sessions, and when it is lost.

A node says that it lives by a heartbeat. One that is silent takes no new sessions at once; its sessions are lost only
when it was silent for a grace, all of which somebody could have heard it, and the backend did not answer either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from broker.core.catalog import Profile


class SlotState(StrEnum):
    """What a node says of the backend in one of its slots. `FAILED`: it does not stay up, and says why."""

    STARTING = "starting"
    IDLE = "idle"
    CLAIMED = "claimed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NodeSlot:
    """One streaming backend of a node. `instance` names this run of it: after a restart it is another one.

    `session_id` is the session that it says it serves.
    """

    number: int
    signaling_port: int
    media_port: int
    control_port: int
    control_token: str = field(repr=False)
    instance: str = ""
    state: SlotState = SlotState.IDLE
    session_id: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as it registered last. Times: seconds since the epoch, on the store's clock.

    `boot` names this run of what registers it. `steady_since` is when it was heard first, or again after a silence.
    `left`: it said goodbye, or was taken out; nothing of it runs any more.
    """

    name: str
    host: str
    slots: tuple[NodeSlot, ...]
    zone: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    boot: str = ""
    version: str = ""
    draining: bool = False
    left: bool = False
    heard_at: float = 0
    steady_since: float = 0
    is_new: bool = True

    def slot(self, number: int) -> NodeSlot | None:
        """The slot of this number."""
        return next((slot for slot in self.slots if slot.number == number), None)


@dataclass(frozen=True, slots=True)
class NodeClocks:
    """How long is how long. Silent for `suspect_s`, a node takes no sessions; after `grace_s` its backends are asked.

    One that was silent so long has to be steady for `settle_s` before it takes sessions again. `probes` of a backend
    have to fail in a row, `probe_every_s` apart.
    """

    heartbeat_s: float = 3
    suspect_s: float = 8
    grace_s: float = 15
    settle_s: float = 10
    probe_every_s: float = 1
    probes: int = 3


class Presence(StrEnum):
    """Whether a node is heard. `SILENT`: so long that its backends are to be asked."""

    HEARD = "heard"
    SUSPECT = "suspect"
    SILENT = "silent"
    LEFT = "left"


class ForeignNode(Exception):
    """Another machine has this name and is heard of."""


def heard(before: Node | None, said: Node, now: float, clocks: NodeClocks) -> Node:
    """What a node says now, with the times. Raises ForeignNode where a machine of another address has the name."""
    if before is None or before.left:
        return replace(said, heard_at=now, steady_since=now, is_new=True)
    was_away = now - before.heard_at > clocks.suspect_s
    if before.host != said.host and not was_away:
        raise ForeignNode
    if was_away:
        return replace(said, heard_at=now, steady_since=now, is_new=False)
    return replace(said, heard_at=now, steady_since=before.steady_since, is_new=before.is_new)


def is_news(before: Node, after: Node, clocks: NodeClocks) -> bool:
    """Whether a node said more than that it lives; so it did where it had not been heard for a while."""
    if after.heard_at - before.heard_at > clocks.suspect_s:
        return True
    return replace(before, heard_at=after.heard_at) != after


def presence(node: Node, now: float, clocks: NodeClocks, *, listening_since: float = 0) -> Presence:
    """Whether it is heard; silence counts only from when somebody could have heard it (`listening_since`)."""
    if node.left:
        return Presence.LEFT
    silent_s = now - max(node.heard_at, listening_since)
    if silent_s > clocks.grace_s:
        return Presence.SILENT
    return Presence.SUSPECT if now - node.heard_at > clocks.suspect_s else Presence.HEARD


def takes_sessions(node: Node, now: float, clocks: NodeClocks) -> bool:
    """Whether new sessions may go there now."""
    if node.draining or presence(node, now, clocks) is not Presence.HEARD:
        return False
    return node.is_new or now - node.steady_since >= clocks.settle_s


def suits(node: Node, profile: Profile) -> bool:
    """Whether it has all labels that the profile asks for, and is in one of its zones."""
    if profile.zones and node.zone not in profile.zones:
        return False
    return all(node.labels.get(name) == value for name, value in profile.labels.items())


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes by name, as one broker knows them now, and the clocks that they are judged by.

    `listening_since`: from when on this broker would have known of every heartbeat; None while it would not.
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    clocks: NodeClocks = NodeClocks()
    listening_since: float | None = None

    def candidates(self, profile: Profile, now: float) -> list[Node]:
        """The nodes to which a session of this profile may go."""
        return [node for node in self.nodes.values() if self.is_candidate(node, profile, now)]

    def is_candidate(self, node: Node, profile: Profile, now: float) -> bool:
        """Whether a session of this profile may go there."""
        return suits(node, profile) and takes_sessions(node, now, self.clocks)


def presence_in(fleet: Fleet, node: Node, now: float) -> Presence:
    """Whether a node of the fleet is heard."""
    since = now if fleet.listening_since is None else fleet.listening_since
    return presence(node, now, fleet.clocks, listening_since=since)


class Verdict(StrEnum):
    """What becomes of a session's backend by what its node says.

    `ASK`: only the backend itself can tell. `GONE`: it ended; `LOST`: its node did.
    """

    STAYS = "stays"
    ASK = "ask"
    GONE = "gone"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A session's backend as it was found: on which run of which node, in which run of its own."""

    slot: int
    session_id: str
    boot: str
    instance: str


def verdict(tenant: Tenant, node: Node, presence: Presence, failed_probes: int, clocks: NodeClocks) -> Verdict:
    """How it stands with a backend that serves a session, by what its node said last and when."""
    if presence is Presence.LEFT:
        return Verdict.LOST
    if presence is Presence.SILENT:
        return Verdict.LOST if failed_probes >= clocks.probes else Verdict.ASK
    if presence is not Presence.HEARD:
        return Verdict.STAYS
    slot = node.slot(tenant.slot)
    if slot is None or slot.instance != tenant.instance or slot.state is SlotState.FAILED:
        return Verdict.LOST if node.boot != tenant.boot else Verdict.GONE
    doubtful = slot.state is not SlotState.CLAIMED or slot.session_id not in (None, tenant.session_id)
    return Verdict.ASK if doubtful else Verdict.STAYS
