"""A node as text and back, for stores that keep texts. The same node is always the same text."""

from __future__ import annotations

import json
from collections.abc import Mapping

from broker.core.node import Node, NodeSlot, SlotState
from signaling.fields import Fields, Json

_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


def node_to_text(node: Node) -> str:
    """What the node said of itself, without the times at which it was heard; it holds control tokens."""
    return _ENCODER.encode(
        {
            "name": node.name,
            "host": node.host,
            "zone": node.zone,
            "labels": dict(node.labels),
            "boot": node.boot,
            "version": node.version,
            "draining": node.draining,
            "slots": [_slot_to_json(slot) for slot in node.slots],
        }
    )


def node_from_text(text: str) -> Node:
    """Read `node_to_text`'s text. Raises ValueError naming the field."""
    fields = Fields(json.loads(text), "node")
    labels, slots = fields.get("labels"), fields.get("slots")
    if not isinstance(labels, Mapping) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("node.labels must be an object of strings")
    if not isinstance(slots, list):
        raise ValueError("node.slots must be a list")
    return Node(
        fields.text("name"),
        fields.text("host"),
        tuple(_slot_from_json(slot) for slot in slots),
        zone=fields.text("zone"),
        labels={str(name): str(value) for name, value in labels.items()},
        boot=fields.text("boot"),
        version=fields.text("version"),
        draining=fields.flag("draining"),
    )


def _slot_to_json(slot: NodeSlot) -> dict[str, Json]:
    return {
        "number": slot.number,
        "signaling_port": slot.signaling_port,
        "media_port": slot.media_port,
        "control_port": slot.control_port,
        "control_token": slot.control_token,
        "instance": slot.instance,
        "state": slot.state.value,
        "session_id": slot.session_id,
        "message": slot.message,
    }


def _slot_from_json(value: Json) -> NodeSlot:
    fields = Fields(value, "slot")
    return NodeSlot(
        fields.integer("number"),
        fields.integer("signaling_port"),
        fields.integer("media_port"),
        fields.integer("control_port"),
        fields.text("control_token"),
        fields.text("instance"),
        fields.member("state", SlotState),
        fields.text("session_id") if fields.get("session_id") is not None else None,
        fields.text("message"),
    )
