"""Prims by name and kind, and the file that they travel in."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.usd_viewer.prim_tree import ROOT, BadTreeFile, PrimKind, PrimTree, read_tree, write_tree

NONE = PrimKind(0)
WORLD = PrimTree.of(
    [
        (ROOT, "World", PrimKind.XFORM),
        (0, "Group", PrimKind.XFORM),
        (1, "Box", PrimKind.MESH | PrimKind.GEOMETRY),
        (0, "Looks", PrimKind.SCOPE),
        (3, "Bücher", NONE),
        (0, "Box", PrimKind.GEOMETRY),
        (ROOT, "Render", PrimKind.SCOPE),
    ]
)


def names(tree: PrimTree, path: str, among: PrimKind | None = None) -> list[str]:
    index = tree.find(path)
    assert index is not None
    return [tree.prim(child).name for child in tree.children(index, among)]


def test_children_come_in_the_stages_order() -> None:
    assert names(WORLD, "/") == ["World", "Render"]
    assert names(WORLD, "/World") == ["Group", "Looks", "Box"]
    assert names(WORLD, "/World/Looks") == ["Bücher"]
    assert names(WORLD, "/World/Looks/Bücher") == []


def test_prims_of_one_name_are_told_apart_by_their_path() -> None:
    assert (WORLD.find("/World/Group/Box"), WORLD.find("/World/Box")) == (2, 5)


@pytest.mark.parametrize("path", ["", "World", "/world", "/World/", "/World/Gone", "/World/Group/Box/More", "/Worl"])
def test_a_path_that_is_none_is_not_found(path: str) -> None:
    assert WORLD.find(path) is None


def test_what_holds_geometry_counts_as_such() -> None:
    assert names(WORLD, "/", PrimKind.GEOMETRY) == ["World"]
    assert names(WORLD, "/World", PrimKind.GEOMETRY) == ["Group", "Box"]
    assert names(WORLD, "/World", PrimKind.MESH | PrimKind.SCOPE) == ["Looks"]
    assert names(WORLD, "/World", NONE) == []


def test_whether_there_are_children_is_known() -> None:
    assert [WORLD.prim(index).has_children for index in range(len(WORLD))] == [True, True, False, True] + [False] * 3


@given(st.data())
def test_every_tree_comes_back_from_its_file(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 20))
    prims = [
        (
            data.draw(st.integers(ROOT, index - 1)),
            data.draw(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=5))
            + str(index),
            PrimKind(data.draw(st.integers(0, 15))),
        )
        for index in range(count)
    ]
    file = io.BytesIO()
    write_tree(PrimTree.of(prims), file)
    tree = read_tree(file, limit_bytes=10**6)
    assert len(tree) == count
    for index, (parent, name, _) in enumerate(prims):
        assert index in tree.children(parent)
        assert tree.prim(index).name == name
        path, above = "", index
        while above != ROOT:
            path, above = f"/{prims[above][1]}{path}", prims[above][0]
        assert tree.find(path) == index


def file_of(**changes: object) -> io.BytesIO:
    arrays: dict[str, object] = {
        "parents": np.array([ROOT, 0], np.int32),
        "kinds": np.zeros(2, np.uint8),
        "names": np.frombuffer(b"ab", np.uint8),
        "ends": np.array([1, 2], np.int64),
    }
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in (arrays | changes).items() if array is not None})  # type: ignore[arg-type]
    file.seek(0)
    return file


def test_a_sound_file_is_read() -> None:
    assert read_tree(file_of(), limit_bytes=10**6).find("/a/b") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"parents": np.array([ROOT, 1], np.int32)},
        {"parents": np.array([ROOT, 7], np.int32)},
        {"parents": np.array([-2, 0], np.int32)},
        {"parents": np.array([ROOT, 0], np.int64)},
        {"parents": np.array([[ROOT, 0]], np.int32)},
        {"parents": None},
        {"kinds": np.zeros(3, np.uint8)},
        {"ends": np.array([2, 1], np.int64)},
        {"ends": np.array([-1, 2], np.int64)},
        {"ends": np.array([1, 3], np.int64)},
        {"names": np.array([object(), object()])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_file_that_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadTreeFile):
        read_tree(file_of(**changes), limit_bytes=10**6)


def test_too_large_a_file_and_none_at_all_are_refused() -> None:
    for file in (file_of(), io.BytesIO(b""), io.BytesIO(b"PK\x03\x04nonsense")):
        with pytest.raises(BadTreeFile):
            read_tree(file, limit_bytes=10)
