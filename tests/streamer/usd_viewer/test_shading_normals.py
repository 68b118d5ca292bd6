"""Normals of meshes without any."""

import numpy as np
import pytest

from streamer.usd_viewer.scene import Doubles, Integers
from streamer.usd_viewer.shading_normals import MAX_VALENCE, flat_normals, smooth_normals, unit


def fan(count: int, height: float) -> tuple[Doubles, Integers]:
    """A cone of triangles around a tip."""
    turn = np.arange(count) * 2 * np.pi / count
    rim = np.stack([np.cos(turn), np.sin(turn), np.zeros(count)], axis=1)
    triangles = [[0, 1 + n, 1 + (n + 1) % count] for n in range(count)]
    return np.concatenate([[[0.0, 0.0, height]], rim]), np.array(triangles, np.int32)


def test_flat_normals_are_as_long_as_twice_the_area() -> None:
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 2, 0]], float)
    assert flat_normals(points, np.array([[0, 1, 2]], np.int32)).tolist() == [[0.0, 0.0, 6.0]]


def test_a_gentle_slope_is_smooth_at_its_tip() -> None:
    points, triangles = fan(12, 0.3)
    tips = smooth_normals(points, triangles)[:, 0]
    assert tips == pytest.approx(np.tile([0.0, 0.0, 1.0], (12, 1)), abs=1e-9)


def test_the_edges_of_a_box_stay_sharp() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, -1], [1, 1, -1]], float)
    triangles = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]], np.int32)
    normals = smooth_normals(points, triangles)
    assert normals[:2].reshape(-1, 3) == pytest.approx(np.tile([0.0, 0.0, 1.0], (6, 1)))
    assert normals[2:].reshape(-1, 3) == pytest.approx(np.tile([1.0, 0.0, 0.0], (6, 1)))


def test_a_crowded_vertex_is_averaged() -> None:
    points, triangles = fan(MAX_VALENCE + 1, 5.0)
    tips = smooth_normals(points, triangles)[:, 0]
    assert tips == pytest.approx(np.tile([0.0, 0.0, 1.0], (MAX_VALENCE + 1, 1)), abs=1e-9)


def test_vectors_without_length_stay() -> None:
    assert unit(np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]])).tolist() == [[0.0, 0.0, 0.0], [0.0, 0.6, 0.8]]
