"""Scenes cross from the process that read them as plain arrays, and nothing else gets through."""

import io
import json
import pickle
import zipfile
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.usd_viewer.camera import Bounds, UpAxis
from streamer.usd_viewer.scene import (
    Batch,
    Environment,
    Kind,
    Light,
    Lighting,
    LightKind,
    Scene,
    Slot,
    StageCamera,
    Surface,
    Texture,
    Timeline,
    Wrap,
)
from streamer.usd_viewer.scene_file import BadSceneFile, read_scene, write_scene

LIMIT = 10**6


def batch(kind: Kind = Kind.SURFACE, *, count: int = 4, frames: int = 0, texture: int = -1) -> Batch:
    rng = np.random.default_rng(3)
    return Batch(
        kind=kind,
        surface=Surface(
            relief=Slot(texture, (2.0, 0.0, 0.0, 2.0, 0.5, 0.0)),
            roughness=0.25,
            emissive=(0.1, 0.2, 0.3),
            translucent=True,
        ),
        points=rng.random((count, 3)).astype(np.float32),
        elements=rng.integers(0, count, (3, kind.corners)).astype(np.int32),
        normals=np.ones((count if kind is Kind.SURFACE else 0, 3), np.float32),
        colors=np.full((count, 4), 9, np.uint8),
        uvs=np.zeros((count if texture >= 0 else 0, 2), np.float32),
        transforms=rng.random((frames, 4, 4)),
        point_frames=rng.random((frames, count, 3)).astype(np.float32),
        normal_frames=rng.random((frames, count, 3)).astype(np.float32),
        runs=np.array([[0, 0], [2, 1]], np.int32),
        copies=rng.random((frames, 2, 4, 4)).astype(np.float32),
        shown=np.arange(frames) > 0,
    )


def lighting() -> Lighting:
    ball = Light(LightKind.BALL, (1.0, 2.0, 3.0), position=(4.0, 5.0, 6.0), radius=0.5, cone=(0.9, 0.8))
    axes = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    around = Environment(np.full((2, 4, 4), 7, np.uint8), 2.5, axes, np.arange(27.0).reshape(9, 3), visible=False)
    return Lighting((ball,), around, 0.25)


def scene(*batches: Batch, frames: int = 1) -> Scene:
    return Scene(
        up_axis=UpAxis.Z,
        meters_per_unit=0.01,
        origin=(1.0, 2.0, 3.0),
        bounds=Bounds((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
        outline=np.eye(3),
        timeline=Timeline(frames, 30.0),
        batches=batches,
        paths=("/World/A", "/World/B"),
        textures=(Texture(np.zeros((2, 3, 4), np.uint8), (Wrap.CLAMP, Wrap.MIRROR)),),
        lighting=lighting(),
        cameras=(StageCamera("Shot", (0.0, 0.0, 9.0), (0.0, 0.0, -1.0), 0.5),),
        prims=7,
        omissions=("2 lights; the viewer brings its own",),
    )


def written(made: Scene) -> bytes:
    file = io.BytesIO()
    write_scene(made, file)
    return file.getvalue()


def reread(content: bytes, limit_bytes: int = LIMIT) -> Scene:
    return read_scene(io.BytesIO(content), limit_bytes=limit_bytes)


def altered(name: str, value: bytes) -> bytes:
    """A scene file with one array exchanged."""
    source = zipfile.ZipFile(io.BytesIO(written(scene(batch()))))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member in source.namelist():
            archive.writestr(member, value if member == f"{name}.npy" else source.read(member))
    return file.getvalue()


def npy(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "made",
    [
        scene(batch(), batch(Kind.LINES), batch(Kind.DOTS, count=1)),
        scene(batch(frames=5, texture=0), frames=5),
        scene(),
    ],
    ids=["kinds", "animated", "empty"],
)
def test_a_scene_comes_back_as_it_was(made: Scene) -> None:
    back = reread(written(made))
    for name in ("up_axis", "meters_per_unit", "origin", "bounds", "timeline", "cameras", "prims", "omissions"):
        assert getattr(back, name) == getattr(made, name)
    assert back.outline.tolist() == made.outline.tolist()
    assert back.triangles == made.triangles
    assert back.textures[0].pixels.tolist() == made.textures[0].pixels.tolist()
    for got, wanted in zip(back.batches, made.batches, strict=True):
        assert (got.kind, got.surface) == (wanted.kind, wanted.surface)
        for field in fields(Batch)[2:]:
            assert np.array_equal(getattr(got, field.name), getattr(wanted, field.name))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("0.elements", np.full((3, 3), 4, np.int32)),
        ("0.elements", np.full((3, 3), -1, np.int32)),
        ("0.elements", np.zeros((3, 2), np.int32)),
        ("0.points", np.zeros((4, 3), np.float64)),
        ("0.colors", np.zeros((3, 4), np.uint8)),
        ("0.normals", np.zeros((3, 3), np.float32)),
        ("0.transforms", np.zeros((2, 4, 4))),
        ("0.point_frames", np.zeros((1, 5, 3), np.float32)),
        ("0.runs", np.zeros((0, 2), np.int32)),
        ("0.runs", np.array([[1, 0]], np.int32)),
        ("0.runs", np.array([[0, 2]], np.int32)),
        ("0.runs", np.array([[0, -1]], np.int32)),
        ("0.runs", np.array([[0, 0], [0, 1]], np.int32)),
        ("0.runs", np.array([[0, 0], [3, 1]], np.int32)),
        ("paths", np.frombuffer(b"", np.uint8)),
        ("texture.0", np.zeros((0, 3, 4), np.uint8)),
        ("0.copies", np.zeros((3, 1, 4, 4), np.float32)),
        ("0.copies", np.zeros((1, 9_000_000, 1, 1), np.float32)),
        ("0.shown", np.zeros(3, np.bool_)),
        ("0.shown", np.zeros(0, np.uint8)),
        ("environment", np.zeros((0, 4, 4), np.uint8)),
        ("harmonics", np.zeros((9, 4))),
        ("head", np.frombuffer(b"{}", np.uint8)),
        ("head", np.frombuffer(b"no json", np.uint8)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]"
) -> None:
    with pytest.raises(BadSceneFile):
        reread(altered(name, npy(array)))


def test_a_texture_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadSceneFile):
        reread(written(scene(batch(texture=1))))


def test_pickles_are_never_loaded() -> None:
    file = io.BytesIO()
    np.save(file, np.array([object()]), allow_pickle=True)
    for content in (altered("0.points", file.getvalue()), pickle.dumps(scene())):
        with pytest.raises(BadSceneFile):
            reread(content)


def test_more_than_the_limit_is_refused_unread() -> None:
    with pytest.raises(BadSceneFile, match="more than"):
        reread(written(scene(batch())), limit_bytes=100)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused_or_a_scene(data: st.DataObject) -> None:
    content = bytearray(written(scene(batch())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = reread(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except BadSceneFile:
        return
    assert json.dumps(made.omissions)
