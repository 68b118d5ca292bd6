"""USD's geometric prims as shapes: meshes with their primvars, implicit shapes, curves and points."""

from collections.abc import Callable, Mapping

import numpy as np
from pxr import Usd, UsdGeom

from streamer.usd_viewer import shapes
from streamer.usd_viewer.scene import Doubles, Integers, Kind
from streamer.usd_viewer.shading_normals import flat_normals, smooth_normals, unit
from streamer.usd_viewer.shapes import Shape, weld
from streamer.usd_viewer.triangulation import triangulate

MAX_CORNERS = 30_000_000
_THIN = 0.02
"""How wide, of its extent, a curve may be to be drawn as a line."""
_STEPS = 8
"""Line segments per piece of a cubic curve."""
_MOST_PRIMVARS = 4
_TINT_TYPES = ("color3f[]", "color3d[]", "color3h[]")
_UV_TYPES = ("texCoord2f[]", "texCoord2d[]", "texCoord2h[]", "float2[]", "double2[]", "half2[]")


class BadGeometry(Exception):
    """A prim whose arrays do not fit together; its text says which."""


def read_gprim(prim: Usd.Prim, time: Usd.TimeCode) -> Shape | None:
    """The shape of a prim, or None for a type that is not drawn. BadGeometry for arrays that do not fit."""
    reader = _READERS.get(str(prim.GetTypeName()))
    return reader(prim, time) if reader else None


def read_mesh(prim: Usd.Prim, time: Usd.TimeCode) -> Shape:
    """A mesh: triangulated, without holes, welded where all of its primvars agree."""
    mesh = UsdGeom.Mesh(prim)
    points = numbers(mesh.GetPointsAttr(), time, 3)
    counts, indices = _topology(mesh, len(points), time)
    corners, faces = triangulate(points, counts, indices)
    kept = ~np.isin(faces, _integers(mesh.GetHoleIndicesAttr(), time))
    corners, faces = corners[kept], faces[kept]
    if mesh.GetOrientationAttr().Get(time) == UsdGeom.Tokens.leftHanded:
        corners = corners[:, ::-1]
    flat = corners.reshape(-1)
    domains = {
        "vertex": indices[flat],
        "varying": indices[flat],
        "uniform": np.repeat(faces, 3),
        "faceVarying": flat,
        "constant": np.zeros(len(flat), np.int32),
    }
    positions = domains["vertex"]
    normals = _mesh_normals(mesh, points, positions.reshape(-1, 3), domains, time)
    colors = display_colors(prim, domains, time)
    uvs = _primvars(prim, domains, time, _UV_TYPES, 2)
    tints = _primvars(prim, domains, time, _TINT_TYPES, 3)
    attributes = [normals, *([colors] if colors is not None else []), *uvs.values(), *tints.values()]
    first, inverse = weld(positions, np.concatenate(attributes, axis=1))
    return Shape(
        Kind.SURFACE,
        points[positions[first]],
        inverse.reshape(-1, 3),
        normals[first],
        colors=None if colors is None else colors[first],
        uvs={name: values[first] for name, values in uvs.items()},
        tints={name: np.clip(values[first], 0.0, 1.0) for name, values in tints.items()},
        faces=faces,
        sources=positions[first],
    )


def numbers(attribute: Usd.Attribute, time: Usd.TimeCode, width: int) -> Doubles:
    """The finite (n, width) numbers of an attribute; (0, width) where it has none."""
    value = attribute.Get(time) if attribute else None
    if value is None or len(value) == 0:
        return np.empty((0, width))
    array = np.asarray(value, dtype=np.float64).reshape(len(value), -1)
    if array.shape[1] != width or not np.isfinite(array).all():
        raise BadGeometry(f"{attribute.GetName()} holds no finite rows of {width}")
    return array


def display_colors(prim: Usd.Prim, domains: Mapping[str, Integers], time: Usd.TimeCode) -> Doubles | None:
    """(corners, 4) of the prim's own displayColor and displayOpacity; None where it authors neither."""
    api = UsdGeom.PrimvarsAPI(prim)
    color = _spread(api.GetPrimvar("displayColor"), domains, time, 3)
    opacity = _spread(api.GetPrimvar("displayOpacity"), domains, time, 1)
    if color is None and opacity is None:
        return None
    result = np.ones((len(domains["constant"]), 4))
    result[:, :3] = DEFAULT_COLOR if color is None else color
    result[:, 3:] = 1.0 if opacity is None else opacity
    return np.asarray(np.clip(result, 0.0, 1.0))


DEFAULT_COLOR = (0.5, 0.5, 0.5)
"""Linear; what a prim without colour and material is drawn in."""


def _topology(mesh: UsdGeom.Mesh, points: int, time: Usd.TimeCode) -> tuple[Integers, Integers]:
    counts = _integers(mesh.GetFaceVertexCountsAttr(), time)
    indices = _integers(mesh.GetFaceVertexIndicesAttr(), time)
    if (counts.size and counts.min() < 0) or counts.sum(dtype=np.int64) != len(indices):
        raise BadGeometry("faceVertexCounts and faceVertexIndices do not fit together")
    if indices.size and (indices.min() < 0 or indices.max() >= points):
        raise BadGeometry("faceVertexIndices names points that are not there")
    if len(indices) > MAX_CORNERS:
        raise BadGeometry(f"more than {MAX_CORNERS} corners")
    return counts, indices


def _integers(attribute: Usd.Attribute, time: Usd.TimeCode) -> Integers:
    value = attribute.Get(time)
    return np.empty(0, np.int32) if value is None else np.asarray(value, dtype=np.int32).reshape(-1)


def _mesh_normals(
    mesh: UsdGeom.Mesh, points: Doubles, triangles: Integers, domains: Mapping[str, Integers], time: Usd.TimeCode
) -> Doubles:
    """(corners, 3): authored, else flat for polygons and smooth up to a crease for subdivision cages."""
    primvar = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("normals")
    authored = _spread(primvar, domains, time, 3)
    if authored is None:
        values = numbers(mesh.GetNormalsAttr(), time, 3)
        authored = _spread_values(values, str(mesh.GetNormalsInterpolation()), domains)
    if authored is not None:
        flat = np.repeat(flat_normals(points, triangles), 3, axis=0)
        usable = np.einsum("cx,cx->c", authored, authored) > 1e-12
        return unit(np.where(usable[:, None], authored, flat))
    if mesh.GetSubdivisionSchemeAttr().Get(time) in (UsdGeom.Tokens.none, UsdGeom.Tokens.bilinear):
        return np.repeat(unit(flat_normals(points, triangles)), 3, axis=0)
    return smooth_normals(points, triangles).reshape(-1, 3)


def _primvars(
    prim: Usd.Prim, domains: Mapping[str, Integers], time: Usd.TimeCode, types: tuple[str, ...], width: int
) -> dict[str, Doubles]:
    """At every corner, the prim's first primvars of these types, display colour apart."""
    found: dict[str, Doubles] = {}
    for primvar in UsdGeom.PrimvarsAPI(prim).FindPrimvarsWithInheritance():
        name = str(primvar.GetPrimvarName())
        if str(primvar.GetTypeName()) in types and name != "displayColor" and len(found) < _MOST_PRIMVARS:
            values = _spread(primvar, domains, time, width)
            if values is not None:
                found[name] = values
    return found


def _spread(
    primvar: UsdGeom.Primvar, domains: Mapping[str, Integers], time: Usd.TimeCode, width: int
) -> Doubles | None:
    if not primvar or not primvar.HasValue():
        return None
    value = primvar.ComputeFlattened(time)
    if value is None or len(value) == 0:
        return None
    array = np.asarray(value, dtype=np.float64).reshape(len(value), -1)
    return _spread_values(array, str(primvar.GetInterpolation()), domains) if array.shape[1] == width else None


def _spread_values(values: Doubles, interpolation: str, domains: Mapping[str, Integers]) -> Doubles | None:
    """`values` at every corner; a single value serves all; None for too few or none."""
    chosen = domains.get("constant" if len(values) == 1 else interpolation)
    if chosen is None or not len(values) or not np.isfinite(values).all():
        return None
    if chosen.size and chosen.max() >= len(values):
        return None
    spread: Doubles = values[chosen]
    return spread


def _point_domains(count: int) -> dict[str, Integers]:
    each = np.arange(count, dtype=np.int32)
    zeros = np.zeros(count, np.int32)
    return {"vertex": each, "varying": each, "uniform": zeros, "faceVarying": each, "constant": zeros}


def _with_colors(shape: Shape, prim: Usd.Prim, time: Usd.TimeCode) -> Shape:
    colors = display_colors(prim, _point_domains(len(shape.points)), time)
    return Shape(shape.kind, shape.points, shape.elements, shape.normals, colors=colors, uvs=shape.uvs)


def _implicit(prim: Usd.Prim, time: Usd.TimeCode) -> Shape:
    def number(name: str) -> float:
        value = float(prim.GetAttribute(name).Get(time))
        if not np.isfinite(value):
            raise BadGeometry(f"{name} is not finite")
        return value

    def axis() -> str:
        return str(prim.GetAttribute("axis").Get(time))

    makers: dict[str, Callable[[], Shape]] = {
        "Cube": lambda: shapes.cube(number("size")),
        "Sphere": lambda: shapes.sphere(number("radius")),
        "Plane": lambda: shapes.plane(number("width"), number("length"), axis()),
        "Cylinder": lambda: shapes.cylinder(number("radius"), number("height"), axis()),
        "Cone": lambda: shapes.cone(number("radius"), number("height"), axis()),
        "Capsule": lambda: shapes.capsule(number("radius"), number("height"), axis()),
    }
    return _with_colors(makers[str(prim.GetTypeName())](), prim, time)


def is_thick(prim: Usd.Prim, shape: Shape, time: Usd.TimeCode) -> bool:
    """Whether curves or points are so wide that lines and dots are a poor picture of them."""
    widths = numbers(prim.GetAttribute("widths"), time, 1) if shape.kind is not Kind.SURFACE else np.empty((0, 1))
    if not len(widths) or not len(shape.points):
        return False
    return float(widths.max()) > _THIN * float(np.linalg.norm(np.ptp(shape.points, axis=0)))


def _read_points(prim: Usd.Prim, time: Usd.TimeCode) -> Shape:
    points = numbers(UsdGeom.Points(prim).GetPointsAttr(), time, 3)
    each = np.arange(len(points), dtype=np.int32)[:, None]
    return _with_colors(Shape(Kind.DOTS, points, each, np.empty((0, 3))), prim, time)


def _read_curves(prim: Usd.Prim, time: Usd.TimeCode) -> Shape:
    curves = UsdGeom.BasisCurves(prim)
    points = numbers(curves.GetPointsAttr(), time, 3)
    counts = _integers(curves.GetCurveVertexCountsAttr(), time)
    if counts.sum(dtype=np.int64) != len(points) or (counts.size and counts.min() < 0):
        raise BadGeometry("curveVertexCounts does not fit the points")
    cubic = curves.GetTypeAttr().Get(time) == UsdGeom.Tokens.cubic
    basis = str(curves.GetBasisAttr().Get(time)) if cubic else "linear"
    closed = curves.GetWrapAttr().Get(time) == UsdGeom.Tokens.periodic
    colors = display_colors(prim, _curve_domains(counts), time)
    # What is linear in the points is so in their colours.
    columns = points if colors is None else np.concatenate([points, colors], axis=1)
    lines = [_polyline(curve, basis, closed) for curve in np.split(columns, np.cumsum(counts)[:-1]) if len(curve) > 1]
    starts = np.cumsum([0, *(len(line) for line in lines)])
    elements = [
        start + np.stack([np.arange(len(line) - 1), np.arange(1, len(line))], axis=1)
        for start, line in zip(starts, lines, strict=False)
    ]
    sampled = np.concatenate([np.empty((0, columns.shape[1])), *lines])
    return Shape(
        Kind.LINES,
        sampled[:, :3],
        np.concatenate([np.empty((0, 2)), *elements]).astype(np.int32),
        np.empty((0, 3)),
        colors=None if colors is None else np.clip(sampled[:, 3:], 0.0, 1.0),
    )


def _curve_domains(counts: Integers) -> dict[str, Integers]:
    """The value that each control point takes; of a cubic curve's `varying` values there are fewer."""
    domains = _point_domains(int(counts.sum()))
    return domains | {"uniform": np.repeat(np.arange(len(counts), dtype=np.int32), counts)}


_CUBICS: dict[str, Doubles] = {
    "bezier": np.array([[1, 0, 0, 0], [-3, 3, 0, 0], [3, -6, 3, 0], [-1, 3, -3, 1]], float),
    "bspline": np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]], float) / 6,
    "catmullRom": np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], float) / 2,
}


def _polyline(curve: Doubles, basis: str, closed: bool) -> Doubles:
    """Rows along one curve, positions and whatever else comes with them; cubic pieces are sampled."""
    matrix = _CUBICS.get(basis)
    if matrix is None or len(curve) < 4:
        return np.concatenate([curve, curve[:1]]) if closed else curve
    step = 3 if basis == "bezier" else 1
    if closed:
        curve = np.concatenate([curve, curve[: 4 - step]])
    pieces = np.stack([curve[at : at + 4] for at in range(0, len(curve) - 3, step)])
    t = np.arange(_STEPS) / _STEPS
    powers = np.stack([t**0, t, t**2, t**3], axis=1)
    sampled = (powers @ matrix @ pieces).reshape(-1, curve.shape[1])
    last: Doubles = np.ones(4) @ matrix @ pieces[-1]
    return np.concatenate([sampled, last[None]])


_READERS: Mapping[str, Callable[[Usd.Prim, Usd.TimeCode], Shape]] = {
    "Mesh": read_mesh,
    "Points": _read_points,
    "BasisCurves": _read_curves,
    **dict.fromkeys(("Cube", "Sphere", "Plane", "Cylinder", "Cone", "Capsule"), _implicit),
}
