"""Answers to `getChildrenRequest`, in the form of Kit's USD viewer template. Pure."""

import json
from collections.abc import Mapping

from streamer.source import Json, JsonObject
from streamer.usd_viewer.prim_tree import ROOT, Prim, PrimKind, PrimTree
from streamer.usd_viewer.stage_messages import GetChildren

MAX_ANSWER_BYTES = 60 * 1024
"""A little less than a message may hold (docs/protocol.md §2)."""
_FIRST = "/World"
"""Where clients of Kit begin, whatever the stage's outermost prim is called."""
_FILTERS: Mapping[str, PrimKind] = {
    "USDGeom": PrimKind.GEOMETRY,
    "mesh": PrimKind.MESH,
    "xform": PrimKind.XFORM,
    "scope": PrimKind.SCOPE,
}


def children_response(tree: PrimTree, request: GetChildren) -> JsonObject:
    """The payload of `getChildrenResponse`.

    A child with children of its own has `children: {}`: an empty list reaches Kit's clients in this form, and tells
    them to ask. What does not fit into a message is counted in `left_out`.
    """
    index = tree.find(request.prim_path)
    if index is None and request.prim_path == _FIRST:
        index = ROOT
    answer: JsonObject = {"prim_path": request.prim_path, "children": []}
    if index is None:
        return answer
    found = tree.children(index, _among(request.filters))
    children: list[Json] = []
    above = "" if index == ROOT else request.prim_path
    room = MAX_ANSWER_BYTES
    for child in found:
        entry = _entry(tree.prim(child), above)
        room -= len(json.dumps(entry)) + len(", ")
        if room < 0:
            break
        children.append(entry)
    answer["children"] = children
    return answer if len(children) == len(found) else answer | {"left_out": len(found) - len(children)}


def _among(filters: tuple[str, ...] | None) -> PrimKind | None:
    """The kinds that pass. A filter that nobody knows lets nothing through, as in Kit."""
    if filters is None:
        return None
    among = PrimKind(0)
    for name in filters:
        among |= _FILTERS.get(name, PrimKind(0))
    return among


def _entry(child: Prim, above: str) -> JsonObject:
    entry: JsonObject = {"name": child.name, "path": f"{above}/{child.name}"}
    if child.has_children:
        entry["children"] = {}
    return entry
