"""Makes the sample stage: `python -m tests.streamer.usd_viewer.make_harbour [folder]`. The files are committed.

A harbour with a ferry, as a round diorama: references, payloads, variants, instances, a point instancer, subsets,
subdivision cages, concave polygons, primvars of every interpolation, and a second stage that sets it in motion.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pxr import Gf, Kind, Sdf, Usd, UsdGeom, UsdShade, Vt

from streamer.usd_viewer.settings import SAMPLES

Doubles = NDArray[np.float64]
Triple = tuple[float, float, float]

WHITE, CREAM, NAVY, RED, ORANGE = "#f4f4ef", "#efe3c8", "#1f3a5f", "#c8372d", "#e8772e"
GLASS, STEEL, DARK, WOOD, DECK = "#24384a", "#9aa5ad", "#39424a", "#9a6b43", "#56806f"
GRASS, STONE, SAND, LEAF = "#7fa650", "#a9a49a", "#d9c79a", "#47783f"
DEEP, SHALLOW, FOAM = "#1c6f96", "#4fb3bf", "#dff2f1"


def linear(color: str) -> Gf.Vec3f:
    """A linear colour of `#rrggbb`."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return Gf.Vec3f(*(round(p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4, 4) for p in parts))


class Layer:
    """One file being made, with its materials."""

    def __init__(self, path: Path, root: str, *, kind: str) -> None:
        self.stage = Usd.Stage.CreateNew(str(path))
        UsdGeom.SetStageUpAxis(self.stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(self.stage, 1.0)
        self.root = f"/{root}"
        prim = UsdGeom.Xform.Define(self.stage, self.root).GetPrim()
        Usd.ModelAPI(prim).SetKind(kind)
        self.stage.SetDefaultPrim(prim)
        self._materials: dict[tuple[str, float, float, str], UsdShade.Material] = {}

    def material(
        self, color: str, *, roughness: float = 0.5, metallic: float = 0.0, glow: str = ""
    ) -> UsdShade.Material:
        """A preview surface."""
        key = (color, roughness, metallic, glow)
        if key in self._materials:
            return self._materials[key]
        path = f"{self.root}/Looks/M{len(self._materials)}_{color[1:]}"
        material = UsdShade.Material.Define(self.stage, path)
        shader = UsdShade.Shader.Define(self.stage, f"{path}/Surface")
        shader.CreateIdAttr("UsdPreviewSurface")
        shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(linear(color))
        shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(roughness)
        shader.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(metallic)
        if glow:
            shader.CreateInput("emissiveColor", Sdf.ValueTypeNames.Color3f).Set(linear(glow))
        material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
        self._materials[key] = material
        return material

    def bind(self, prim: Usd.Prim, color: str, **look: float | str) -> Usd.Prim:
        """Give a prim a material."""
        UsdShade.MaterialBindingAPI.Apply(prim).Bind(self.material(color, **look))  # type: ignore[arg-type]
        return prim

    def group(self, name: str) -> str:
        """A folder of prims."""
        return str(UsdGeom.Xform.Define(self.stage, f"{self.root}/{name}").GetPath())

    def mesh(self, path: str, points: Doubles, faces: Sequence[Sequence[int]], *, smooth: bool = False) -> Usd.Prim:
        """A mesh under the root; smooth ones are subdivision cages."""
        mesh = UsdGeom.Mesh.Define(self.stage, f"{self.root}/{path}")
        mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points.round(3).astype(np.float32)))
        mesh.CreateFaceVertexCountsAttr([len(face) for face in faces])
        mesh.CreateFaceVertexIndicesAttr([corner for face in faces for corner in face])
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.catmullClark if smooth else UsdGeom.Tokens.none)
        mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(mesh.GetPointsAttr().Get()))
        return mesh.GetPrim()

    def box(
        self,
        path: str,
        size: Triple,
        at: Triple,
        color: str,
        *,
        bevel: float = 0.06,
        turn: float = 0.0,
        **look: float | str,
    ) -> Usd.Prim:
        """A box with chamfered edges, `at` the middle of its floor."""
        prim = self.bind(self.mesh(path, *beveled_box(size, bevel)), color, **look)
        move(prim, at, turn=turn)
        return prim

    def cylinder(
        self, path: str, radius: float, height: float, at: Triple, color: str, **look: float | str
    ) -> Usd.Prim:
        """A standing cylinder, `at` the middle of its floor."""
        shape = UsdGeom.Cylinder.Define(self.stage, f"{self.root}/{path}")
        shape.CreateRadiusAttr(radius)
        shape.CreateHeightAttr(height)
        shape.CreateExtentAttr([(-radius, -radius, -height / 2), (radius, radius, height / 2)])
        move(shape.GetPrim(), (at[0], at[1], at[2] + height / 2))
        return self.bind(shape.GetPrim(), color, **look)

    def reference(
        self,
        path: str,
        file: str,
        at: Triple,
        *,
        turn: float = 0.0,
        size: float = 1.0,
        instanced: bool = True,
        variant: tuple[str, str] | None = None,
        payload: bool = False,
    ) -> Usd.Prim:
        """Another file's model, placed here."""
        prim = UsdGeom.Xform.Define(self.stage, f"{self.root}/{path}").GetPrim()
        if payload:
            prim.GetPayloads().AddPayload(file)
        else:
            prim.GetReferences().AddReference(file)
        if variant:
            prim.GetVariantSets().AddVariantSet(variant[0]).SetVariantSelection(variant[1])
        prim.SetInstanceable(instanced)
        move(prim, at, turn=turn, size=size)
        return prim

    def save(self) -> None:
        """Write the file."""
        self.stage.GetRootLayer().Save()


def move(prim: Usd.Prim, at: Triple, *, turn: float = 0.0, tilt: float = 0.0, size: float = 1.0) -> None:
    """Place a prim: scaled, tilted about x, turned about z (degrees), then shifted."""
    common = UsdGeom.XformCommonAPI(prim)
    common.SetTranslate(Gf.Vec3d(*at))
    if turn or tilt:
        common.SetRotate(Gf.Vec3f(tilt, 0, turn))
    if size != 1.0:
        common.SetScale(Gf.Vec3f(size))


def beveled_box(size: Triple, bevel: float) -> tuple[Doubles, list[list[int]]]:
    """Points and faces of a chamfered box that stands on z = 0."""
    half = np.array(size) / 2
    points: list[Doubles] = []
    index: dict[tuple[int, int], int] = {}
    corners = [np.array([x, y, z]) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    for number, corner in enumerate(corners):
        for axis in range(3):
            inset = np.where(np.arange(3) == axis, 0.0, bevel)
            index[number, axis] = len(points)
            points.append(corner * (half - inset))
    loops = []
    for axis in range(3):
        for side in (-1, 1):
            loops.append([index[n, axis] for n, corner in enumerate(corners) if corner[axis] == side])
    for number, corner in enumerate(corners):
        loops.append([index[number, axis] for axis in range(3)])
        for axis in range(3):
            if corner[axis] < 0:
                other = number + (4, 2, 1)[axis]
                a, b = (axis + 1) % 3, (axis + 2) % 3
                loops.append([index[number, a], index[number, b], index[other, b], index[other, a]])
    array = np.array(points)
    faces = [wound_outward(array, loop) for loop in loops]
    array[:, 2] += half[2]
    return array, faces


def wound_outward(points: Doubles, loop: list[int]) -> list[int]:
    """The corners of a convex face of a body about the origin, counter-clockwise from outside."""
    middle = points[loop].mean(axis=0)
    normal = np.linalg.svd(points[loop] - middle)[2][2]
    normal = normal if normal @ middle > 0 else -normal
    first = points[loop[0]] - middle
    second = np.cross(normal, first)
    return sorted(loop, key=lambda at: math.atan2((points[at] - middle) @ second, (points[at] - middle) @ first))


def lathe(profile: Iterable[tuple[float, float]], segments: int = 24) -> tuple[Doubles, list[list[int]]]:
    """A profile of (radius, height), from below, turned about z."""
    rings = np.array(list(profile))
    angles = np.arange(segments) * 2 * np.pi / segments
    points = np.stack(
        [
            np.outer(rings[:, 0], np.cos(angles)),
            np.outer(rings[:, 0], np.sin(angles)),
            np.repeat(rings[:, 1:], segments, axis=1),
        ],
        axis=-1,
    ).reshape(-1, 3)
    faces = [
        [
            r * segments + s,
            r * segments + (s + 1) % segments,
            (r + 1) * segments + (s + 1) % segments,
            (r + 1) * segments + s,
        ]
        for r in range(len(rings) - 1)
        for s in range(segments)
    ]
    faces.append(list(range(segments))[::-1])
    faces.append([(len(rings) - 1) * segments + s for s in range(segments)])
    return points, faces


def extrusion(outline: Sequence[tuple[float, float]], low: float, high: float) -> tuple[Doubles, list[list[int]]]:
    """A counter-clockwise outline, concave or not, as a slab."""
    count = len(outline)
    points = np.array([(x, y, z) for z in (low, high) for x, y in outline])
    sides = [[n, (n + 1) % count, count + (n + 1) % count, count + n] for n in range(count)]
    return points, [*sides, list(range(count))[::-1], list(range(count, 2 * count))]


def make_boat_hull(length: float, beam: float, depth: float, *, stern: float = 0.85) -> tuple[Doubles, list[list[int]]]:
    """A closed hull along x, its deck at z = depth: stations of seven points from one side to the other."""
    stations = np.linspace(-0.5, 0.5, 15)
    rows: list[Doubles] = []
    for x in stations:
        toward_bow = max(x * 2, 0.0)
        width = beam / 2 * (1 - toward_bow**2.6) * (1 - (1 - stern) * max(-x * 2, 0.0) ** 2)
        sheer = depth + 0.12 * depth * toward_bow**2
        keel = depth * 0.35 * toward_bow**4
        flare = 0.86 - 0.30 * toward_bow
        side = [(width, sheer), (width * (0.55 + 0.45 * flare), depth * 0.45 + keel), (width * 0.55, keel)]
        profile = [*side, (0.0, keel), *((-y, z) for y, z in reversed(side))]
        rows.append(np.array([(x * length, y, z) for y, z in profile]))
    points = np.concatenate(rows)
    across = len(rows[0])
    faces = [
        [r * across + c, r * across + c + 1, (r + 1) * across + c + 1, (r + 1) * across + c]
        for r in range(len(rows) - 1)
        for c in range(across - 1)
    ]
    faces += [
        [r * across + across - 1, r * across, (r + 1) * across, (r + 1) * across + across - 1]
        for r in range(len(rows) - 1)
    ]
    faces.append(list(range(across))[::-1])
    return points, [face[::-1] for face in faces]


def make_ferry(folder: Path) -> None:
    """ferry.usda: the ship, with two liveries."""
    layer = Layer(folder / "ferry.usda", "Ferry", kind=Kind.Tokens.component)
    hull = layer.mesh("Hull", *make_boat_hull(24.0, 7.6, 2.6), smooth=True)
    liveries = hull.GetParent().GetVariantSets().AddVariantSet("livery")
    for name, color in (("navy", NAVY), ("red", RED)):
        liveries.AddVariant(name)
        liveries.SetVariantSelection(name)
        with liveries.GetVariantEditContext():
            UsdGeom.Mesh(hull).CreateDisplayColorAttr([linear(color)])
    liveries.SetVariantSelection("navy")
    move(hull, (0, 0, -0.9))
    deck_points = [(x, y) for x, y, z in make_boat_hull(23.6, 7.3, 2.6)[0].reshape(15, 7, 3)[:, 0]]
    outline = [(float(x), float(y)) for x, y in deck_points[::-1]] + [(float(x), -float(y)) for x, y in deck_points[1:]]
    layer.bind(layer.mesh("Deck", *extrusion(outline, 1.62, 1.76)), DECK, roughness=0.9)
    stripe, _ = make_boat_hull(24.12, 7.72, 2.6)
    rows = stripe.reshape(15, 7, 3)
    band = np.stack([np.concatenate([rows[:, 0], rows[::-1, 6]]), np.concatenate([rows[:, 0], rows[::-1, 6]])], axis=1)
    band[:, 0, 2] -= 0.02
    band[:, 1, 2] -= 0.42
    around = [[2 * n, 2 * n + 1, 2 * n + 3, 2 * n + 2] for n in range(29)] + [[58, 59, 1, 0]]
    prim = layer.bind(layer.mesh("Stripe", band.reshape(-1, 3), around), WHITE, roughness=0.4)
    UsdGeom.Mesh(prim).CreateDoubleSidedAttr(True)
    move(prim, (0, 0, -0.9))
    ferry_house(layer)
    ferry_fittings(layer)
    layer.save()


def ferry_house(layer: Layer) -> None:
    """The superstructure: two decks, the bridge, windows, funnels."""
    layer.group("House")
    layer.box("House/Saloon", (12.5, 6.0, 2.3), (-2.2, 0, 1.76), WHITE, bevel=0.18, roughness=0.35)
    layer.box("House/Promenade", (13.1, 6.6, 0.16), (-2.2, 0, 4.06), CREAM, bevel=0.05, roughness=0.7)
    layer.box("House/Upper", (8.4, 4.8, 2.0), (-1.6, 0, 4.22), WHITE, bevel=0.18, roughness=0.35)
    layer.box("House/Roof", (9.0, 5.4, 0.14), (-1.6, 0, 6.22), CREAM, bevel=0.05, roughness=0.7)
    layer.box("House/Bridge", (2.6, 5.9, 1.7), (1.6, 0, 6.36), WHITE, bevel=0.16, roughness=0.35)
    layer.box("House/BridgeRoof", (3.0, 6.3, 0.14), (1.6, 0, 8.06), NAVY, bevel=0.05)
    layer.box("House/BridgeGlass", (2.7, 5.5, 0.8), (1.62, 0, 6.95), GLASS, bevel=0.05, roughness=0.1)
    for side in (-1, 1):
        for number in range(8):
            x = -7.4 + number * 1.5
            layer.box(
                f"House/Window{'LR'[side > 0]}{number}",
                (0.95, 0.12, 0.85),
                (x, side * 3.0, 2.6),
                GLASS,
                bevel=0.04,
                roughness=0.1,
            )
        for number in range(5):
            x = -4.6 + number * 1.5
            layer.box(
                f"House/Porthole{'LR'[side > 0]}{number}",
                (0.9, 0.12, 0.75),
                (x, side * 2.4, 4.9),
                GLASS,
                bevel=0.04,
                roughness=0.1,
            )
        layer.box(
            f"House/Front{'LR'[side > 0]}", (0.12, 1.5, 0.85), (4.05, side * 1.4, 2.6), GLASS, bevel=0.04, roughness=0.1
        )
    for number, y in enumerate((-1.0, 1.0)):
        profile = [(0.78, 0.0), (0.74, 1.5), (0.70, 2.5), (0.74, 2.55), (0.74, 2.7), (0.55, 2.7), (0.55, 2.3)]
        funnel = layer.mesh(f"House/Funnel{number}", *lathe(profile, 24))
        UsdGeom.Mesh(funnel).CreateDisplayColorPrimvar(UsdGeom.Tokens.uniform).Set(
            [linear(color) for ring in range(6) for color in [(RED, WHITE, DARK, DARK, DARK, DARK)[ring]] * 24]
            + [linear(DARK)] * 2
        )
        move(funnel, (-3.9, y, 6.3))


def ferry_fittings(layer: Layer) -> None:
    """Mast, lifeboats, life rings, ramp, rails."""
    layer.group("Fittings")
    layer.cylinder("Fittings/Mast", 0.09, 3.4, (1.3, 0, 8.15), WHITE)
    layer.box("Fittings/Radar", (0.16, 1.7, 0.2), (1.3, 0, 9.9), WHITE, bevel=0.04)
    layer.box("Fittings/Yard", (0.1, 2.4, 0.1), (1.3, 0, 10.7), WHITE, bevel=0.02)
    layer.box("Fittings/Ramp", (2.6, 4.0, 0.22), (-12.2, 0, 1.6), STEEL, roughness=0.6)
    boat = make_boat_hull(3.0, 1.15, 0.75, stern=0.5)
    for number, (x, side) in enumerate(((-5.0, -1), (-1.6, -1), (-5.0, 1), (-1.6, 1))):
        prim = layer.bind(layer.mesh(f"Fittings/Lifeboat{number}", *boat, smooth=True), ORANGE, roughness=0.4)
        move(prim, (x, side * 2.86, 4.4))
    rail: list[Triple] = []
    counts: list[int] = []
    for height in (0.55, 1.0):
        for side in (-1, 1):
            rows = make_boat_hull(23.4, 7.2, 2.6)[0].reshape(15, 7, 3)[7:14, 0]
            rail += [(round(float(x), 3), round(float(side * y), 3), 1.76 + height) for x, y, _ in rows]
            counts.append(len(rows))
    curves = UsdGeom.BasisCurves.Define(layer.stage, f"{layer.root}/Fittings/Rails")
    curves.CreateTypeAttr(UsdGeom.Tokens.linear)
    curves.CreatePointsAttr(rail)
    curves.CreateCurveVertexCountsAttr(counts)
    curves.CreateWidthsAttr([0.05])
    curves.CreateDisplayColorAttr([linear(WHITE)])
    posts = [(x, y) for x, y, _ in rail[:14]]
    for number, (x, y) in enumerate(posts):
        layer.cylinder(f"Fittings/Post{number}", 0.035, 1.02, (x, y, 1.76), WHITE)


def make_small_models(folder: Path) -> None:
    """Everything that stands about more than once."""
    bollard = Layer(folder / "bollard.usda", "Bollard", kind=Kind.Tokens.component)
    profile = [(0.34, 0.0), (0.34, 0.08), (0.2, 0.14), (0.18, 0.5), (0.32, 0.6), (0.32, 0.74), (0.14, 0.82)]
    bollard.bind(bollard.mesh("Body", *lathe(profile, 18), smooth=True), DARK, roughness=0.35, metallic=0.6)
    bollard.save()
    make_buoy(folder)
    make_house(folder)
    make_tree(folder)
    make_car(folder)
    lamp = Layer(folder / "lamp.usda", "Lamp", kind=Kind.Tokens.component)
    lamp.cylinder("Post", 0.07, 3.4, (0, 0, 0), DARK)
    lamp.cylinder("Foot", 0.18, 0.25, (0, 0, 0), DARK)
    globe = UsdGeom.Sphere.Define(lamp.stage, "/Lamp/Globe")
    globe.CreateRadiusAttr(0.28)
    globe.CreateExtentAttr([(-0.28, -0.28, -0.28), (0.28, 0.28, 0.28)])
    move(globe.GetPrim(), (0, 0, 3.6))
    lamp.bind(globe.GetPrim(), "#fff3cf", glow="#d8c388")
    lamp.save()
    boat = Layer(folder / "sailboat.usda", "Sailboat", kind=Kind.Tokens.component)
    boat.bind(boat.mesh("Hull", *make_boat_hull(5.4, 1.9, 1.0, stern=0.6), smooth=True), RED, roughness=0.35)
    move(boat.stage.GetPrimAtPath("/Sailboat/Hull"), (0, 0, -0.3))
    boat.cylinder("Mast", 0.06, 6.2, (0.4, 0, 0.6), WOOD)
    sails = np.array([[0.3, 0, 1.3], [-2.3, 0.35, 1.4], [0.3, 0, 6.5], [0.6, 0, 1.2], [2.6, 0, 0.95], [0.5, 0.1, 5.6]])
    prim = boat.bind(boat.mesh("Sails", sails, [[0, 1, 2], [4, 3, 5]]), WHITE, roughness=0.8)
    UsdGeom.Mesh(prim).CreateDoubleSidedAttr(True)
    boat.save()


def make_buoy(folder: Path) -> None:
    """buoy.usda: red or green."""
    layer = Layer(folder / "buoy.usda", "Buoy", kind=Kind.Tokens.component)
    body = layer.mesh("Body", *lathe([(0.5, -0.4), (0.75, 0.1), (0.7, 0.4), (0.32, 0.7), (0.2, 2.0)], 20), smooth=True)
    cage = layer.mesh("Lantern", *lathe([(0.26, 2.0), (0.26, 2.4), (0.1, 2.55)], 12))
    layer.bind(cage, "#fff0c0", glow="#a08c4c")
    variants = body.GetParent().GetVariantSets().AddVariantSet("side")
    for name, color in (("port", RED), ("starboard", "#2f9a58")):
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            UsdGeom.Mesh(body).CreateDisplayColorAttr([linear(color)])
    variants.SetVariantSelection("port")
    layer.save()


def make_house(folder: Path) -> None:
    """house.usda: a gabled house in five colours; its body is one mesh whose roof is a subset."""
    layer = Layer(folder / "house.usda", "House", kind=Kind.Tokens.component)
    w, d, h, ridge, over = 2.3, 1.9, 3.2, 5.0, 0.25
    drop = (ridge - h) / d * over
    points = np.array(
        [
            [-w, -d, 0],
            [w, -d, 0],
            [w, d, 0],
            [-w, d, 0],
            [-w, -d, h],
            [w, -d, h],
            [w, d, h],
            [-w, d, h],
            [-w, 0, ridge],
            [w, 0, ridge],
            [-w - over, -d - over, h - drop],
            [w + over, -d - over, h - drop],
            [w + over, 0, ridge + 0.06],
            [-w - over, 0, ridge + 0.06],
            [w + over, d + over, h - drop],
            [-w - over, d + over, h - drop],
        ]
    )
    faces = [[0, 1, 5, 4], [1, 2, 6, 9, 5], [2, 3, 7, 6], [3, 0, 4, 8, 7], [10, 11, 12, 13], [14, 15, 13, 12]]
    body = layer.mesh("Body", points, faces)
    UsdGeom.Mesh(body).CreateDoubleSidedAttr(True)
    subset = UsdGeom.Subset.CreateGeomSubset(
        UsdGeom.Imageable(body),
        "Roof",
        UsdGeom.Tokens.face,
        Vt.IntArray([4, 5]),
        UsdShade.Tokens.materialBind,
        UsdGeom.Tokens.nonOverlapping,
    )
    layer.bind(subset.GetPrim(), "#a5503c", roughness=0.85)
    variants = body.GetParent().GetVariantSets().AddVariantSet("paint")
    paints = {"yellow": "#e7c25b", "blue": "#7fa9c9", "rose": "#d98f86", "white": WHITE, "green": "#93b58c"}
    for name, color in paints.items():
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            UsdGeom.Mesh(body).CreateDisplayColorAttr([linear(color)])
    variants.SetVariantSelection("white")
    layer.box("Door", (0.85, 0.14, 1.8), (-0.9, -d, 0), WOOD, bevel=0.03)
    for number, (x, z) in enumerate(((0.85, 0.9), (0.85, 2.1), (-0.9, 2.1))):
        layer.box(f"Frame{number}", (1.0, 0.1, 0.85), (x, -d, z), WHITE, bevel=0.03)
        layer.box(f"Pane{number}", (0.8, 0.14, 0.65), (x, -d, z + 0.1), GLASS, bevel=0.02, roughness=0.1)
    layer.box("Chimney", (0.55, 0.55, 1.3), (1.1, 0.6, 4.0), "#8d5a4a")
    layer.save()


def make_tree(folder: Path) -> None:
    """tree.usda: colours of its crown by vertex."""
    layer = Layer(folder / "tree.usda", "Tree", kind=Kind.Tokens.component)
    layer.cylinder("Trunk", 0.18, 1.2, (0, 0, 0), WOOD, roughness=0.9)
    rings = [(0.3, 0.8), (1.25, 1.1), (0.75, 2.0), (1.0, 2.1), (0.5, 3.0), (0.72, 3.1), (0.04, 4.5)]
    crown = layer.mesh("Crown", *lathe(rings, 14))
    shades = [linear(LEAF) * (0.55 + 0.45 * z / 4.5) for _, z in rings for _ in range(14)]
    UsdGeom.Mesh(crown).CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(
        [Gf.Vec3f(*(round(part, 4) for part in shade)) for shade in shades]
    )
    layer.save()


def make_car(folder: Path) -> None:
    """car.usda: in four colours."""
    layer = Layer(folder / "car.usda", "Car", kind=Kind.Tokens.component)
    body = layer.mesh("Body", *beveled_box((3.6, 1.6, 0.65), 0.16))
    move(body, (0, 0, 0.3))
    cabin, faces = beveled_box((1.9, 1.4, 0.6), 0.12)
    cabin[:, 0] *= np.where(cabin[:, 2] > 0.3, 0.72, 1.0)
    layer.bind(layer.mesh("Cabin", cabin, faces), GLASS, roughness=0.1)
    move(layer.stage.GetPrimAtPath("/Car/Cabin"), (-0.15, 0, 0.9))
    for number, (x, y) in enumerate(((-1.1, -0.75), (1.1, -0.75), (-1.1, 0.75), (1.1, 0.75))):
        wheel = UsdGeom.Cylinder.Define(layer.stage, f"/Car/Wheel{number}")
        wheel.CreateAxisAttr(UsdGeom.Tokens.y)
        wheel.CreateRadiusAttr(0.34)
        wheel.CreateHeightAttr(0.26)
        wheel.CreateExtentAttr([(-0.34, -0.13, -0.34), (0.34, 0.13, 0.34)])
        move(wheel.GetPrim(), (x, y, 0.34))
        layer.bind(wheel.GetPrim(), DARK, roughness=0.8)
    variants = body.GetParent().GetVariantSets().AddVariantSet("paint")
    for name, color in {"red": RED, "blue": "#3d7fc4", "yellow": "#ecc440", "white": WHITE}.items():
        variants.AddVariant(name)
        variants.SetVariantSelection(name)
        with variants.GetVariantEditContext():
            UsdGeom.Mesh(body).CreateDisplayColorAttr([linear(color)])
    variants.SetVariantSelection("red")
    layer.save()


def make_lighthouse(folder: Path) -> None:
    """lighthouse.usda: stripes by face, a lantern that glows."""
    layer = Layer(folder / "lighthouse.usda", "Lighthouse", kind=Kind.Tokens.component)
    rings = [(1.75 - 0.6 * n / 10, 1.15 * n) for n in range(11)]
    tower = layer.mesh("Tower", *lathe(rings, 32), smooth=True)
    UsdGeom.Mesh(tower).CreateDisplayColorPrimvar(UsdGeom.Tokens.uniform).Set(
        [linear((WHITE, RED)[ring // 2 % 2]) for ring in range(10) for _ in range(32)] + [linear(WHITE)] * 2
    )
    gallery = [(1.0, 11.3), (1.7, 11.5), (1.7, 11.7), (1.0, 11.7)]
    layer.bind(layer.mesh("Gallery", *lathe(gallery, 32)), DARK)
    layer.bind(
        layer.mesh("Lantern", *lathe([(0.85, 11.7), (0.85, 13.2)], 16)), "#fff1bd", glow="#e6c766", roughness=0.2
    )
    layer.bind(layer.mesh("Roof", *lathe([(1.15, 13.2), (0.6, 13.9), (0.05, 14.5)], 24)), RED)
    layer.box("Door", (0.9, 0.3, 1.9), (0, -1.62, 0), WOOD)
    layer.save()


def make_pier(folder: Path) -> None:
    """pier.usda: planks by a point instancer, bollards and lamps by reference."""
    layer = Layer(folder / "pier.usda", "Pier", kind=Kind.Tokens.assembly)
    planks = UsdGeom.PointInstancer.Define(layer.stage, "/Pier/Planks")
    tints = ("#a8784d", "#94663e", "#b58758")
    for number, tint in enumerate(tints):
        layer.bind(
            layer.mesh(f"Planks/Prototypes/Plank{number}", *beveled_box((3.8, 0.52, 0.16), 0.025)), tint, roughness=0.9
        )
    planks.CreatePrototypesRel().SetTargets([f"/Pier/Planks/Prototypes/Plank{n}" for n in range(3)])
    count = 34
    planks.CreateProtoIndicesAttr([(n * 7 + n // 3) % 3 for n in range(count)])
    planks.CreatePositionsAttr([(round(0.06 * math.sin(n * 2.4), 3), round(-0.56 * n, 3), 1.1) for n in range(count)])
    planks.CreateExtentAttr([(-2, -19, 1), (2, 1, 1.4)])
    for number in range(5):
        for side in (-1, 1):
            layer.cylinder(
                f"Pile{number}{'LR'[side > 0]}",
                0.24,
                3.0,
                (side * 1.55, -0.6 - number * 4.4, -1.3),
                WOOD,
                roughness=0.9,
            )
    for number, y in enumerate((-3.0, -9.0, -15.0)):
        layer.reference(f"Bollard{number}", "./bollard.usda", (1.5, y, 1.26))
    for number, y in enumerate((-5.5, -16.5)):
        layer.reference(f"Lamp{number}", "./lamp.usda", (-1.5, y, 1.26))
    layer.save()


def make_surroundings(folder: Path) -> None:
    """surroundings.usda: water, land, rocks."""
    layer = Layer(folder / "surroundings.usda", "Surroundings", kind=Kind.Tokens.component)
    make_water(layer)
    radius, shore = (
        31.3,
        [
            (-25, 9.5),
            (-17, 7.2),
            (-16, 4.0),
            (-11, 4.0),
            (-10, 8.5),
            (2, 9.5),
            (12, 8.5),
            (15, 3.5),
            (20, 2.0),
            (24.5, 5.0),
        ],
    )
    arc = [(radius * math.cos(a), radius * math.sin(a)) for a in np.linspace(0.24, math.pi - 0.36, 26)]
    outline = [(round(x, 2), round(y, 2)) for x, y in [*arc, *shore]]
    layer.bind(layer.mesh("Quay", *extrusion(outline, -2.35, 1.0)), STONE, roughness=0.95)
    inner = [(x * 0.965 + 0.1, y * 0.955 + 0.8) for x, y in outline]
    layer.bind(layer.mesh("Grass", *extrusion(inner, 0.9, 1.15)), GRASS, roughness=1.0)
    layer.box("Road", (35, 3.0, 0.1), (-1.0, 12.2, 1.12), "#8b8f93", roughness=0.95)
    hill = lathe([(6.2, 0.0), (5.2, 1.0), (3.7, 1.9), (2.0, 2.5), (0.3, 2.7)], 28)
    layer.bind(layer.mesh("Hill", *hill, smooth=True), "#8fb45c", roughness=1.0)
    move(layer.stage.GetPrimAtPath("/Surroundings/Hill"), (-10.0, 22.0, 1.0), size=0.8)
    rng = np.random.default_rng(7)
    for number in range(9):
        points, faces = lathe([(0.5, 0.0), (1.0, 0.5), (0.8, 1.1), (0.2, 1.4)], 8)
        points *= rng.uniform(0.75, 1.25, points.shape)
        prim = layer.bind(layer.mesh(f"Rock{number}", points, faces), "#8b8780", roughness=1.0)
        angle = number * 0.42 - 1.6
        move(
            prim,
            (round(21.8 + 4.4 * math.cos(angle), 2), round(5.8 + 4.4 * math.sin(angle), 2), -0.5),
            turn=number * 47.0,
            size=round(float(rng.uniform(0.8, 1.5)), 2),
        )
    layer.save()


def make_water(layer: Layer) -> None:
    """A disk of gentle waves, shaded by depth, with the sea's rim below."""
    rings, segments, radius = 15, 60, 31.0
    steps = np.linspace(0, 1, rings)[1:] * radius
    angles = np.arange(segments) * 2 * np.pi / segments
    x, y = np.outer(steps, np.cos(angles)), np.outer(steps, np.sin(angles))
    z = 0.05 * (np.sin(x * 0.9 + y * 0.3) + np.sin(y * 1.1 - x * 0.4)) * (steps < radius)[:, None]
    points = np.concatenate([[[0.0, 0.0, 0.0]], np.stack([x, y, z], axis=-1).reshape(-1, 3)])
    faces = [[0, 1 + s, 1 + (s + 1) % segments] for s in range(segments)]
    faces += [
        [
            1 + r * segments + s,
            1 + (r + 1) * segments + s,
            1 + (r + 1) * segments + (s + 1) % segments,
            1 + r * segments + (s + 1) % segments,
        ]
        for r in range(rings - 2)
        for s in range(segments)
    ]
    water = layer.mesh("Water", points, faces, smooth=True)
    material = layer.material(DEEP, roughness=0.1)
    shader = UsdShade.Shader(layer.stage.GetPrimAtPath(f"{material.GetPath()}/Surface"))
    reader = UsdShade.Shader.Define(layer.stage, f"{material.GetPath()}/Depth")
    reader.CreateIdAttr("UsdPrimvarReader_float3")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
    reader.CreateOutput("result", Sdf.ValueTypeNames.Float3)
    shader.GetInput("diffuseColor").ConnectToSource(reader.ConnectableAPI(), "result")
    UsdShade.MaterialBindingAPI.Apply(water).Bind(material)
    deep, shallow = np.array(linear(DEEP)), np.array(linear(SHALLOW))
    depth = np.clip((7.0 - points[:, 1]) / 22.0, 0, 1)[:, None] ** 0.8
    UsdGeom.Mesh(water).CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex).Set(
        Vt.Vec3fArray.FromNumpy((shallow * (1 - depth) + deep * depth).round(3).astype(np.float32))
    )
    rim = lathe([(31.0, -2.4), (31.0, -0.02)], segments)
    layer.bind(layer.mesh("Sea", rim[0], rim[1][:-1]), "#175a7c", roughness=0.4)
    base = lathe([(30.6, -3.1), (31.3, -2.9), (31.3, -2.4), (30.9, -2.4)], segments)
    layer.bind(layer.mesh("Base", *base), SAND, roughness=0.9)


def make_harbour(folder: Path) -> None:
    """harbour.usda: the whole."""
    layer = Layer(folder / "harbour.usda", "Harbour", kind=Kind.Tokens.assembly)
    layer.reference("Surroundings", "./surroundings.usda", (0, 0, 0), instanced=False)
    layer.reference(
        "Ferry", "./ferry.usda", (3.5, -7.5, 0), turn=-14.0, instanced=False, payload=True, variant=("livery", "navy")
    )
    layer.reference("Pier", "./pier.usda", (-13.5, 5.2, 0), instanced=False)
    layer.reference("Lighthouse", "./lighthouse.usda", (20.5, 6.5, 1.0))
    layer.reference("Sailboat", "./sailboat.usda", (-3.5, -21.0, 0), turn=28.0)
    layer.group("Buoys")
    for number, (x, y, side) in enumerate(((17.0, -15.0, "starboard"), (10.5, -21.5, "port"), (-19.5, -12.5, "port"))):
        layer.reference(f"Buoys/Buoy{number}", "./buoy.usda", (x, y, 0), variant=("side", side))
    layer.group("Town")
    paints = ("yellow", "blue", "rose", "white", "green", "blue", "yellow")
    for number, paint in enumerate(paints):
        x = -15.5 + number * 5.2
        layer.reference(
            f"Town/House{number}",
            "./house.usda",
            (x, 17.2 + 0.5 * math.sin(number * 2.0), 1.1),
            turn=round(4 * math.sin(number * 3.1), 1),
            size=(1.0, 1.12, 0.94)[number % 3],
            variant=("paint", paint),
        )
    layer.group("Cars")
    cars = ((-9.0, 12.0, 0.0, "red"), (1.5, 12.9, 180.0, "blue"), (9.0, 11.8, 0.0, "yellow"))
    for number, (x, y, turn, paint) in enumerate(cars):
        layer.reference(f"Cars/Car{number}", "./car.usda", (x, y, 1.22), turn=turn, variant=("paint", paint))
    layer.reference("Ferry/Car", "./car.usda", (-9.9, 1.2, 1.76), variant=("paint", "yellow"))
    layer.reference("Ferry/OtherCar", "./car.usda", (-9.7, -1.3, 1.76), variant=("paint", "white"))
    layer.group("Trees")
    spots = [
        (-22, 13.5),
        (-20.5, 16.5),
        (-16.5, 21.5),
        (-11, 23.5),
        (-6.5, 22.5),
        (-1, 24),
        (4.5, 22.8),
        (10, 23.4),
        (15.5, 22),
        (20.5, 19.5),
        (24, 14.5),
        (22.5, 17),
        (-18.0, 23.0),
        (2, 27),
        (8, 26.5),
    ]
    for number, (x, y) in enumerate(spots):
        layer.reference(f"Trees/Tree{number}", "./tree.usda", (x, y, 1.1), size=(1.0, 1.25, 0.85, 1.4)[number % 4])
    layer.group("Lamps")
    for number, x in enumerate((-18.5, -6.5, 4.0, 12.5)):
        layer.reference(f"Lamps/Lamp{number}", "./lamp.usda", (x, 10.2, 1.1))
    crates = ((-4.5, 10.0, "#c98b4a"), (-3.2, 10.15, "#a8784d"), (-3.9, 10.1, "#c98b4a"))
    layer.group("Crates")
    for number, (x, y, color) in enumerate(crates):
        layer.box(f"Crates/Crate{number}", (1.1, 1.1, 1.0), (x, y, 1.05 + (number == 2)), color, turn=number * 17.0)
    layer.save()


def make_crossing(folder: Path) -> None:
    """harbour-in-motion.usda: the harbour, its ferry and boats swaying on the water."""
    stage = Usd.Stage.CreateNew(str(folder / "harbour-in-motion.usda"))
    stage.GetRootLayer().subLayerPaths.append("./harbour.usda")
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(stage.GetPrimAtPath("/Harbour"))
    stage.SetTimeCodesPerSecond(24)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(143)
    for path, swing, lift in (
        ("Ferry", 1.6, 0.18),
        ("Sailboat", 5.0, 0.14),
        ("Buoys/Buoy0", 7.0, 0.16),
        ("Buoys/Buoy1", 6.0, 0.15),
        ("Buoys/Buoy2", 8.0, 0.17),
    ):
        prim = stage.GetPrimAtPath(f"/Harbour/{path}")
        common = UsdGeom.XformCommonAPI(prim)
        shift, turn, *_ = common.GetXformVectors(Usd.TimeCode.Default())
        for time in range(0, 144, 6):
            phase = 2 * math.pi * time / 144
            rise = lift * math.sin(phase + swing)
            common.SetTranslate(Gf.Vec3d(shift[0], shift[1], round(shift[2] + rise, 4)), time)
            common.SetRotate(Gf.Vec3f(round(swing * math.sin(2 * phase), 3), 0, turn[2]), time=time)
    stage.GetRootLayer().Save()


def main() -> None:
    """Make all files, over those that are there."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.usda"):
        old.unlink()
    for make in (
        make_ferry,
        make_small_models,
        make_lighthouse,
        make_pier,
        make_surroundings,
        make_harbour,
        make_crossing,
    ):
        make(folder)


if __name__ == "__main__":
    main()
