"""Camera arithmetic: what holds for every camera, drag and box."""

import math
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.camera import (
    FARTHEST,
    MAX_ELEVATION,
    NEAREST,
    Bounds,
    Camera,
    UpAxis,
    Vector,
    add,
    clipping,
    dot,
    frame,
    length,
    orbit,
    pan,
    scale,
    subtract,
    zoom,
)

coordinates = st.floats(-1e4, 1e4)
vectors = st.tuples(coordinates, coordinates, coordinates)
drags = st.floats(-2.0, 2.0)
cameras = st.builds(
    Camera,
    target=vectors,
    distance=st.floats(0.1, 1e3),
    azimuth=st.floats(-math.pi, math.pi),
    elevation=st.floats(-MAX_ELEVATION, MAX_ELEVATION),
    up_axis=st.sampled_from(UpAxis),
    field_of_view=st.floats(0.2, 2.0),
    reach=st.floats(1.0, 100.0),
)
boxes = st.tuples(vectors, vectors).map(
    lambda pair: Bounds(
        (min(pair[0][0], pair[1][0]), min(pair[0][1], pair[1][1]), min(pair[0][2], pair[1][2])),
        (max(pair[0][0], pair[1][0]), max(pair[0][1], pair[1][1]), max(pair[0][2], pair[1][2])),
    )
)


def projected(camera: Camera, point: Vector) -> tuple[float, float]:
    """Where a point lies in the picture, in picture heights from its middle, right and up."""
    offset = subtract(point, camera.eye)
    depth = -dot(offset, camera.backward)
    height = 2 * depth * math.tan(camera.field_of_view / 2)
    return dot(offset, camera.right) / height, dot(offset, camera.up) / height


def under(camera: Camera, x: float, y: float) -> Vector:
    """The point at the target's depth under a place in the picture."""
    height = 2 * camera.distance * math.tan(camera.field_of_view / 2)
    return add(camera.target, add(scale(camera.right, x * height), scale(camera.up, y * height)))


@settings(deadline=None)
@given(cameras)
def test_axes_of_a_camera_are_an_upright_right_handed_frame(camera: Camera) -> None:
    axes = (camera.right, camera.up, camera.backward)
    for number, axis in enumerate(axes):
        assert length(axis) == pytest.approx(1.0)
        assert dot(axis, axes[number - 1]) == pytest.approx(0.0, abs=1e-9)
    assert dot(camera.right, camera.world_up) == pytest.approx(0.0, abs=1e-9)
    assert dot(camera.up, camera.world_up) > 0.0


@settings(deadline=None)
@given(cameras, drags, drags)
def test_orbit_keeps_target_and_distance_and_never_flips(camera: Camera, dx: float, dy: float) -> None:
    turned = orbit(camera, dx, dy)
    assert (turned.target, turned.distance) == (camera.target, camera.distance)
    assert abs(turned.elevation) <= MAX_ELEVATION
    assert abs(turned.azimuth) <= math.pi


@settings(deadline=None)
@given(cameras, drags)
def test_dragging_to_the_right_brings_the_left_side_to_the_front(camera: Camera, dx: float) -> None:
    turned = orbit(camera, dx, 0.0)
    back = orbit(turned, -dx, 0.0)
    assert back.backward == pytest.approx(camera.backward, abs=1e-9)
    if 0.01 < dx < 0.5:
        assert dot(turned.backward, camera.right) < 0.0


def test_dragging_down_raises_the_eye() -> None:
    assert orbit(Camera(), 0.0, 0.1).eye[1] > Camera().eye[1]


def test_z_up_stages_stand_as_y_up_ones_do() -> None:
    flat, tall = Camera(azimuth=0.0, elevation=0.0), Camera(azimuth=0.0, elevation=0.0, up_axis=UpAxis.Z)
    assert flat.eye == pytest.approx((0.0, 0.0, 4.0))
    assert tall.eye == pytest.approx((0.0, -4.0, 0.0))
    assert tall.world_up == (0.0, 0.0, 1.0)


@settings(deadline=None)
@given(cameras, drags, drags)
def test_pan_carries_what_is_under_the_pointer_along(camera: Camera, dx: float, dy: float) -> None:
    moved = pan(camera, dx, dy)
    x, y = projected(moved, camera.target)
    assert (x, y) == pytest.approx((dx, -dy), abs=1e-4)


@settings(deadline=None)
@given(cameras, st.floats(0.5, 2.0), drags, drags)
def test_zoom_leaves_what_is_under_the_pointer_there(camera: Camera, factor: float, x: float, y: float) -> None:
    camera = replace(camera, target=(0.0, 0.0, 0.0))
    point = under(camera, x, y)
    assert projected(zoom(camera, factor, x, y), point) == pytest.approx((x, y), abs=1e-6)


@settings(deadline=None)
@given(cameras, st.floats(1e-6, 1e6))
def test_zoom_stays_within_reach(camera: Camera, factor: float) -> None:
    distance = zoom(camera, factor).distance
    assert camera.reach * NEAREST <= distance <= camera.reach * FARTHEST


@settings(deadline=None)
@given(cameras, boxes, st.floats(0.3, 3.0))
@example(Camera(elevation=0.0, azimuth=1.0), Bounds((1.0, 0.0, 0.0), (1.0, 0.0, 9e-281)), 1.0)
@example(Camera(elevation=0.3, azimuth=1.0), Bounds((1.0, 0.5, 0.0), (1.0 + 4e-16, 0.5, 0.0)), 1.0)
def test_frame_shows_all_of_a_box(camera: Camera, box: Bounds, aspect: float) -> None:
    framed = frame(camera, tuple(box.corners()), box.radius, aspect)
    for corner in box.corners():
        assert -dot(subtract(corner, framed.eye), framed.backward) > 0.0
        x, y = projected(framed, corner)
        assert abs(x) <= aspect / 2 * 1.001
        assert abs(y) <= 0.5 * 1.001
    assert framed.backward == pytest.approx(camera.backward)


@settings(deadline=None)
@given(cameras, st.tuples(*[st.floats(1.0, 3.0)] * 3), st.floats(0.5, 3.0))
def test_frame_fills_the_picture(camera: Camera, size: Vector, aspect: float) -> None:
    camera = replace(camera, field_of_view=min(camera.field_of_view, 1.2))
    box = Bounds((0.0, 0.0, 0.0), size)
    framed = frame(camera, tuple(box.corners()), box.radius, aspect, margin=1.0)
    places = [projected(framed, corner) for corner in box.corners()]
    filled = max(max(abs(x) / (aspect / 2), abs(y) / 0.5) for x, y in places)
    assert filled == pytest.approx(1.0, abs=1e-6)


@settings(deadline=None)
@given(cameras, boxes)
def test_clipping_planes_are_in_order_and_hold_what_lies_before_the_eye(camera: Camera, box: Bounds) -> None:
    near, far = clipping(camera, box)
    assert 0.0 < near < far
    depths = [-dot(subtract(corner, camera.eye), camera.backward) for corner in box.corners()]
    assert far >= max(depths)
    assert near <= max(min(depths), far * 1e-3)


def test_a_single_point_has_bounds_that_can_be_framed() -> None:
    point = Bounds((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    assert point.radius == 1.0
    assert frame(Camera(), tuple(point.corners()), point.radius, 1.0).target == pytest.approx((1.0, 2.0, 3.0))


@given(cameras, st.floats(-math.pi, math.pi))
def test_a_leaning_camera_has_upright_axes_of_its_own(camera: Camera, roll: float) -> None:
    leaning = replace(camera, roll=roll)
    for one in (leaning.right, leaning.up, leaning.backward):
        assert length(one) == pytest.approx(1.0)
    assert dot(leaning.right, leaning.up) == pytest.approx(0.0, abs=1e-9)
    assert dot(leaning.right, leaning.backward) == pytest.approx(0.0, abs=1e-9)
    assert dot(leaning.up, camera.up) == pytest.approx(math.cos(roll), abs=1e-9)
    assert orbit(leaning, 0.0, 0.0) == replace(camera, azimuth=orbit(camera, 0.0, 0.0).azimuth)


def test_a_cameras_clipping_range_holds_until_it_moves() -> None:
    camera = Camera(clip=(0.5, 7.0))
    box = Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    assert clipping(camera, box) == (0.5, 7.0)
    for moved in (orbit(camera, 0.1, 0.0), pan(camera, 0.1, 0.0), zoom(camera, 0.9), frame(camera, [(0, 0, 0)], 1, 1)):
        assert clipping(moved, box) != (0.5, 7.0)
