"""Answers to `getChildrenRequest`, as Kit's clients take them."""

import json

import pytest

from streamer.usd_viewer.children import MAX_ANSWER_BYTES, children_response
from streamer.usd_viewer.prim_tree import ROOT, PrimKind, PrimTree
from streamer.usd_viewer.stage_messages import GetChildren

NONE = PrimKind(0)
WORLD = PrimTree.of(
    [
        (ROOT, "World", PrimKind.XFORM),
        (0, "Car", PrimKind.XFORM),
        (1, "Body", PrimKind.MESH | PrimKind.GEOMETRY),
        (0, "Looks", PrimKind.SCOPE),
        (0, "Ball", PrimKind.GEOMETRY),
    ]
)
CAR = {"name": "Car", "path": "/World/Car", "children": {}}
LOOKS = {"name": "Looks", "path": "/World/Looks"}
BALL = {"name": "Ball", "path": "/World/Ball"}


def ask(path: str, *filters: str, tree: PrimTree = WORLD) -> object:
    answer = children_response(tree, GetChildren(path, filters or None))
    assert answer["prim_path"] == path
    return answer["children"]


def test_children_have_names_and_paths_and_say_whether_there_is_more() -> None:
    assert ask("/World") == [CAR, LOOKS, BALL]
    assert ask("/World/Car") == [{"name": "Body", "path": "/World/Car/Body"}]
    assert ask("/") == [{"name": "World", "path": "/World", "children": {}}]
    assert ask("/World/Ball") == []


@pytest.mark.parametrize(
    ("filters", "children"),
    [
        (("USDGeom",), [CAR, BALL]),
        (("xform",), [CAR]),
        (("scope",), [LOOKS]),
        (("mesh",), []),
        (("xform", "scope", "nobody knows"), [CAR, LOOKS]),
        (("nobody knows",), []),
    ],
)
def test_filters_let_through_what_they_name(filters: tuple[str, ...], children: list[object]) -> None:
    assert ask("/World", *filters) == children


def test_no_filter_at_all_lets_nothing_through() -> None:
    assert children_response(WORLD, GetChildren("/World", ()))["children"] == []


def test_a_prim_that_is_none_has_no_children() -> None:
    assert ask("/World/Gone") == []


def test_a_stage_without_world_shows_its_outermost_prims_to_who_begins_there() -> None:
    tree = PrimTree.of([(ROOT, "Harbour", PrimKind.XFORM), (0, "Boat", PrimKind.GEOMETRY)])
    assert ask("/World", "USDGeom", tree=tree) == [{"name": "Harbour", "path": "/Harbour", "children": {}}]


def test_what_does_not_fit_into_a_message_is_counted() -> None:
    tree = PrimTree.of([(ROOT, f"Prim{number}", NONE) for number in range(100_000)])
    answer = children_response(tree, GetChildren("/", None))
    children, left_out = answer["children"], answer["left_out"]
    assert isinstance(children, list) and isinstance(left_out, int)
    assert len(children) + left_out == 100_000
    assert 0.9 * MAX_ANSWER_BYTES < len(json.dumps(answer)) < MAX_ANSWER_BYTES + 200
