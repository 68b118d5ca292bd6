"""Implicit shapes: closed, outward, of the right size; welding."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.usd_viewer import shapes
from streamer.usd_viewer.camera import UpAxis
from streamer.usd_viewer.shading_normals import flat_normals
from streamer.usd_viewer.shapes import Shape, weld

SOLIDS: dict[str, tuple[Callable[[], Shape], float]] = {
    "cube": (lambda: shapes.cube(2.0), 8.0),
    "sphere": (lambda: shapes.sphere(1.0), 4 / 3 * np.pi),
    "cylinder x": (lambda: shapes.cylinder(1.0, 3.0, "X"), 3 * np.pi),
    "cylinder y": (lambda: shapes.cylinder(1.0, 3.0, "Y"), 3 * np.pi),
    "cone z": (lambda: shapes.cone(1.0, 3.0, "Z"), np.pi),
    "capsule x": (lambda: shapes.capsule(1.0, 2.0, "X"), 2 * np.pi + 4 / 3 * np.pi),
}


@pytest.mark.parametrize("name", SOLIDS)
def test_a_solid_holds_its_volume_and_faces_outward(name: str) -> None:
    make, volume = SOLIDS[name]
    shape = make()
    a, b, c = (shape.points[shape.elements[:, n]] for n in range(3))
    assert np.einsum("tx,tx->", a, np.cross(b, c)) / 6 == pytest.approx(volume, rel=0.04)
    flat = flat_normals(shape.points, shape.elements)
    assert np.linalg.norm(flat, axis=1).min() > 1e-9
    for corner in range(3):
        assert np.einsum("tx,tx->t", flat, shape.normals[shape.elements[:, corner]]).min() > 0.0
    assert np.linalg.norm(shape.normals, axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(("axis", "normal"), [("X", [1, 0, 0]), ("Y", [0, 1, 0]), ("Z", [0, 0, 1])])
def test_a_plane_lies_across_its_axis(axis: str, normal: list[int]) -> None:
    shape = shapes.plane(2.0, 3.0, axis)
    total = flat_normals(shape.points, shape.elements).sum(axis=0) / 2
    assert total == pytest.approx(np.array(normal) * 6.0)


def test_a_box_has_twelve_edges() -> None:
    shape = shapes.box_edges(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    lengths = np.linalg.norm(shape.points[shape.elements[:, 0]] - shape.points[shape.elements[:, 1]], axis=1)
    assert sorted(lengths.tolist()) == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_a_stage_that_names_no_up_axis_is_y_up() -> None:
    assert [shapes.as_up_axis(name) for name in ("Z", "Y", "")] == [UpAxis.Z, UpAxis.Y, UpAxis.Y]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, -1.0, 0.5]), st.sampled_from([0.0, 2.0])), max_size=60)
)
def test_welding_joins_exactly_what_agrees(corners: list[tuple[int, float, float]]) -> None:
    positions = np.array([corner[0] for corner in corners], np.int32)
    attributes = np.array([corner[1:] for corner in corners], float).reshape(-1, 2)
    first, inverse = weld(positions, attributes)
    assert len(first) == len(set(corners))
    assert [corners[at] for at in first[inverse]] == corners
