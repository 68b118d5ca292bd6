"""Polygons become triangles that cover them exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.scene import Doubles, Integers
from streamer.usd_viewer.triangulation import polygon_normals, triangulate


def areas(points: Doubles, corners: Integers, indices: Integers) -> Doubles:
    a, b, c = (points[indices[corners[:, n]]] for n in range(3))
    result: Doubles = np.cross(b - a, c - a) / 2
    return result


def single(points: Doubles) -> tuple[Doubles, Integers]:
    count = len(points)
    indices = np.arange(count, dtype=np.int32)
    corners, faces = triangulate(points, np.array([count], np.int32), indices)
    assert len(corners) == count - 2
    assert (faces == 0).all()
    return areas(points, corners, indices), corners


def star(angles: list[float], radii: list[float], turn: Doubles) -> Doubles:
    spread = np.cumsum(np.array(angles) + 0.2)
    spread *= 2 * np.pi / (spread[-1] + 0.3)
    used = np.array(radii[: len(angles)])
    flat = np.stack([np.cos(spread) * used, np.sin(spread) * used, np.zeros(len(spread))], axis=1)
    return np.asarray(flat @ turn)


rotations = st.integers(0, 2**32 - 1).map(lambda seed: np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=5, max_size=24),
    st.lists(st.floats(0.2, 1.0), min_size=24, max_size=24),
    rotations,
)
def test_star_shaped_polygons_are_covered_without_overlap(
    angles: list[float], radii: list[float], turn: Doubles
) -> None:
    polygon = star(angles, radii, turn)
    vectors, _ = single(polygon)
    total = polygon_normals(polygon[None])[0] / 2
    size = np.linalg.norm(total)
    along = vectors @ (total / size)
    assert along.min() >= -1e-9
    assert along.sum() == pytest.approx(size)


def test_a_concave_quad_is_split_at_its_notch() -> None:
    arrow = np.array([[0, 0, 0], [2, 1, 0], [0, 0.4, 0], [-2, 1, 0]], float)
    vectors, corners = single(arrow)
    assert (vectors[:, 2] > 0).all()
    assert all({0, 2} <= set(triangle) for triangle in corners.tolist())


def test_mixed_faces_keep_their_numbers_and_their_winding() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 2, 0]], float)
    counts = np.array([3, 2, 4, 0, 5], np.int32)
    indices = np.array([0, 1, 2, 0, 1, 0, 1, 2, 3, 0, 1, 4, 5, 3], np.int32)
    corners, faces = triangulate(points, counts, indices)
    assert sorted(faces.tolist()) == [0, 2, 2, 4, 4, 4]
    assert (areas(points, corners, indices)[:, 2] >= 0).all()


def test_nothing_comes_of_nothing() -> None:
    corners, faces = triangulate(np.empty((0, 3)), np.empty(0, np.int32), np.empty(0, np.int32))
    assert corners.shape == (0, 3)
    assert faces.shape == (0,)


@settings(deadline=None)
@given(st.integers(3, 12))
def test_degenerate_polygons_end(count: int) -> None:
    single(np.zeros((count, 3)))
    line = np.zeros((count, 3))
    line[:, 0] = np.arange(count) % 3
    single(line)
