"""Nodes to start from, and their clocks made short."""

from __future__ import annotations

from broker.core.node import Node, NodeClocks, NodeSlot, SlotState

CLOCKS = NodeClocks(heartbeat_s=3, suspect_s=8, grace_s=15, settle_s=10, probe_every_s=0.02, probes=3)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def go(self, seconds: float) -> None:
        self.now += seconds


def make_slot(
    number: int = 0,
    *,
    state: SlotState = SlotState.IDLE,
    session_id: str | None = None,
    instance: str = "first",
    message: str = "",
    control_port: int = 47002,
) -> NodeSlot:
    token = "a token of a control port"
    return NodeSlot(number, 47000, 47001, control_port, token, instance, state, session_id, message)


def make_node(
    name: str = "gpu-1",
    *slots: NodeSlot,
    host: str = "10.1.0.7",
    zone: str = "",
    labels: dict[str, str] | None = None,
    draining: bool = False,
    boot: str = "boot",
) -> Node:
    return Node(name, host, slots or (make_slot(),), zone=zone, labels=labels or {}, boot=boot, draining=draining)
