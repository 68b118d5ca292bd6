"""Scenes as a file of plain arrays (NumPy's npz, without pickles), read back with every size and index checked.

The process that reads stages is not trusted: what it writes is checked as bytes from the net would be.
"""

import json
import zipfile
from dataclasses import asdict, dataclass
from typing import IO, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamer.usd_viewer.camera import Bounds, UpAxis, Vector
from streamer.usd_viewer.scene import (
    Batch,
    Bytes,
    Doubles,
    Environment,
    Floats,
    Integers,
    Kind,
    Light,
    Lighting,
    Scene,
    StageCamera,
    Surface,
    Texture,
    Timeline,
    Wrap,
)

T = TypeVar("T", bound=np.generic)

MAX_LIGHTS = 8
MAX_COPIED = 16_000_000
"""Points or elements of what stands many times over."""
_HEAD = "head"
_PATHS = "paths"
_BATCH_ARRAYS = (
    *("points", "elements", "normals", "colors", "uvs"),
    *("transforms", "point_frames", "normal_frames", "runs", "copies", "shown"),
)


class BadSceneFile(Exception):
    """Not a scene file; the reading process broke."""


class _Batch(BaseModel):
    model_config = ConfigDict(frozen=True)
    kind: Kind
    surface: Surface


class _Environment(BaseModel):
    model_config = ConfigDict(frozen=True)
    peak: float
    axes: tuple[Vector, Vector, Vector]
    visible: bool


class _Lighting(BaseModel):
    model_config = ConfigDict(frozen=True)
    lights: tuple[Light, ...] = Field(max_length=MAX_LIGHTS)
    ambient: float
    environment: _Environment | None


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True)
    up_axis: UpAxis
    meters_per_unit: float = Field(gt=0)
    origin: Vector
    bounds: Bounds
    timeline: Timeline
    cameras: tuple[StageCamera, ...]
    prims: int = Field(ge=0)
    omissions: tuple[str, ...]
    batches: tuple[_Batch, ...]
    wraps: tuple[tuple[Wrap, Wrap], ...]
    lighting: _Lighting


def write_scene(scene: Scene, file: IO[bytes]) -> None:
    """Write a scene to a binary file."""
    head = {
        "up_axis": scene.up_axis,
        "meters_per_unit": scene.meters_per_unit,
        "origin": scene.origin,
        "bounds": asdict(scene.bounds),
        "timeline": asdict(scene.timeline),
        "cameras": [asdict(camera) for camera in scene.cameras],
        "prims": scene.prims,
        "omissions": scene.omissions,
        "batches": [{"kind": batch.kind, "surface": asdict(batch.surface)} for batch in scene.batches],
        "wraps": [texture.wrap for texture in scene.textures],
        "lighting": _lighting_head(scene.lighting),
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "outline": scene.outline,
        _HEAD: np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
        _PATHS: np.frombuffer("\n".join(scene.paths).encode(), dtype=np.uint8),
    }
    for number, batch in enumerate(scene.batches):
        arrays |= {f"{number}.{name}": getattr(batch, name) for name in _BATCH_ARRAYS}
    for number, texture in enumerate(scene.textures):
        arrays[f"texture.{number}"] = texture.pixels
    if (environment := scene.lighting.environment) is not None:
        arrays |= {"environment": environment.pixels, "harmonics": environment.harmonics}
    np.savez(file, allow_pickle=False, **arrays)


def _lighting_head(lighting: Lighting) -> dict[str, object]:
    around = lighting.environment
    return {
        "lights": [asdict(light) for light in lighting.lights],
        "ambient": lighting.ambient,
        "environment": around and {"peak": around.peak, "axes": around.axes, "visible": around.visible},
    }


def read_scene(file: IO[bytes], *, limit_bytes: int) -> Scene:
    """Read a scene; BadSceneFile for anything else, or for more than `limit_bytes` of arrays."""
    try:
        _check_size(file, limit_bytes)
        with np.load(file, allow_pickle=False) as arrays:
            return _scene(arrays)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, ValidationError) as error:
        raise BadSceneFile(str(error)) from error


def _check_size(file: IO[bytes], limit_bytes: int) -> None:
    with zipfile.ZipFile(file) as archive:
        total = sum(member.file_size for member in archive.infolist())
    if total > limit_bytes:
        raise BadSceneFile(f"{total} bytes of arrays are more than the {limit_bytes} allowed")
    file.seek(0)


def _scene(arrays: "np.lib.npyio.NpzFile") -> Scene:
    head = _Head.model_validate_json(_array(arrays, _HEAD, np.uint8, (None,)).tobytes())
    frames = head.timeline.frames
    written = _array(arrays, _PATHS, np.uint8, (None,)).tobytes().decode()
    paths = tuple(written.split("\n")) if written else ()
    counts = _Counts(frames, len(head.wraps), len(paths))
    batches = tuple(_batch(arrays, number, batch, counts) for number, batch in enumerate(head.batches))
    textures = tuple(Texture(_image(arrays, f"texture.{number}"), wrap) for number, wrap in enumerate(head.wraps))
    return Scene(
        up_axis=head.up_axis,
        meters_per_unit=head.meters_per_unit,
        origin=head.origin,
        bounds=head.bounds,
        outline=_array(arrays, "outline", np.float64, (None, 3)),
        timeline=head.timeline,
        batches=batches,
        paths=paths,
        textures=textures,
        lighting=_lighting(arrays, head.lighting),
        cameras=head.cameras,
        prims=head.prims,
        omissions=head.omissions,
    )


def _lighting(arrays: "np.lib.npyio.NpzFile", head: _Lighting) -> Lighting:
    around = head.environment
    if around is None:
        return Lighting(head.lights, None, head.ambient)
    harmonics: Doubles = _array(arrays, "harmonics", np.float64, (9, 3))
    environment = Environment(_image(arrays, "environment"), around.peak, around.axes, harmonics, around.visible)
    return Lighting(head.lights, environment, head.ambient)


def _image(arrays: "np.lib.npyio.NpzFile", name: str) -> Bytes:
    pixels = _array(arrays, name, np.uint8, (None, None, 4))
    if pixels.size == 0:
        raise ValueError(f"{name} has no pixels")
    return pixels


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many there are of what batches refer to."""

    frames: int
    textures: int
    paths: int


def _batch(arrays: "np.lib.npyio.NpzFile", number: int, head: _Batch, counts: _Counts) -> Batch:
    points = _array(arrays, f"{number}.points", np.float32, (None, 3))
    count = len(points)
    elements = _array(arrays, f"{number}.elements", np.int32, (None, head.kind.corners))
    if elements.size and not (elements.min() >= 0 and elements.max() < count):
        raise ValueError("an element names a point that is not there")
    if not all(-1 <= slot.texture < counts.textures for slot in head.surface.slots):
        raise ValueError("a surface names a texture that is not there")

    uvs = _none_or(count, _array(arrays, f"{number}.uvs", np.float32, (None, 2)))
    if not len(uvs) and count and any(slot.texture >= 0 for slot in head.surface.slots):
        raise ValueError("a texture without coordinates")
    copies = _none_or(counts.frames, _array(arrays, f"{number}.copies", np.float32, (None, None, 4, 4)))
    if copies.shape[1] * max(count, len(elements)) > MAX_COPIED:
        raise ValueError("more copies than there is room for")

    def frames_of(name: str) -> Floats:
        return _none_or(counts.frames, _array(arrays, f"{number}.{name}", np.float32, (None, count, 3)))

    return Batch(
        kind=head.kind,
        surface=head.surface,
        points=points,
        elements=elements,
        normals=_none_or(count, _array(arrays, f"{number}.normals", np.float32, (None, 3))),
        colors=_array(arrays, f"{number}.colors", np.uint8, (count, 4)),
        uvs=uvs,
        transforms=_none_or(counts.frames, _array(arrays, f"{number}.transforms", np.float64, (None, 4, 4))),
        point_frames=frames_of("point_frames"),
        normal_frames=frames_of("normal_frames"),
        runs=_runs(_array(arrays, f"{number}.runs", np.int32, (None, 2)), len(elements), counts.paths),
        copies=copies,
        shown=_none_or(counts.frames, _array(arrays, f"{number}.shown", np.bool_, (None,))),
    )


def _runs(runs: Integers, elements: int, paths: int) -> Integers:
    starts, owners = runs[:, 0], runs[:, 1]
    whole = len(runs) > 0 and starts[0] == 0 and bool((np.diff(starts) > 0).all()) and starts[-1] < max(elements, 1)
    if not whole and elements:
        raise ValueError("elements without a prim")
    if len(owners) and not (owners.min() >= 0 and owners.max() < paths):
        raise ValueError("elements of a prim that is not there")
    return runs


def _array(arrays: "np.lib.npyio.NpzFile", name: str, dtype: type[T], shape: tuple[int | None, ...]) -> NDArray[T]:
    array: NDArray[T] = arrays[name]
    fits = len(array.shape) == len(shape) and all(
        wanted is None or wanted == got for wanted, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}")
    return array


def _none_or(count: int, array: NDArray[T]) -> NDArray[T]:
    if len(array) not in (0, count):
        raise ValueError(f"{len(array)} rows stand beside {count}")
    return array
