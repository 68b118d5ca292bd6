"""A scene's batches and textures as VTK actors, with the frame that is shown."""

import numpy as np
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkTexture

from streamer.usd_viewer.camera import Bounds, Vector
from streamer.usd_viewer.lighting import LIGHT
from streamer.usd_viewer.parts import owner_of
from streamer.usd_viewer.scene import Batch, Kind, Scene, Surface, Texture
from streamer.usd_viewer.vtk_arrays import data_array, id_array

_FARTHEST = "  gl_Position = vec4(vertexMC.xy, 0.99999, 1.0);\n"
_LINE_WIDTH, _DOT_SIZE = 1.5, 4.0


class SceneActors:
    """All of a scene in one renderer, until removed."""

    def __init__(self, scene: Scene, renderer: vtkRenderer) -> None:
        self.bounds: Bounds = _reach(scene)
        self._renderer = renderer
        self._scene = scene
        textures = [_texture(texture) for texture in scene.textures]
        self._actors = [BatchActor(batch, textures) for batch in scene.batches]
        for actor in self._actors:
            renderer.AddActor(actor.actor)

    def set_frame(self, frame: int) -> None:
        """Move everything to where it is in a frame of the timeline."""
        for actor in self._actors:
            actor.set_frame(frame)

    def set_up(self, up: Vector) -> None:
        """Tell the light where up is, as the camera sees it."""
        for actor in self._actors:
            actor.set_up(up)

    def wireframe(self, on: bool) -> None:
        """Draw surfaces by their edges alone, or whole again."""
        for actor in self._actors:
            style = actor.actor.GetProperty()
            style.SetRepresentationToWireframe() if on else style.SetRepresentationToSurface()

    def prim_of(self, prop: object, element: int) -> str | None:
        """The path of the prim to which an element of one of the actors belongs."""
        drawn = (batch for actor, batch in zip(self._actors, self._scene.batches, strict=True) if actor.actor is prop)
        batch = next(drawn, None)
        return None if batch is None else self._scene.paths[owner_of(batch, element)]

    def remove(self) -> None:
        """Take everything out of the renderer and off the GPU. Idempotent."""
        for actor in self._actors:
            self._renderer.RemoveActor(actor.actor)
            actor.actor.ReleaseGraphicsResources(self._renderer.GetRenderWindow())
        self._actors.clear()


def gradient(top: Vector, bottom: Vector) -> vtkActor:
    """A rectangle behind everything, whatever the camera: half the price of VTK's own gradient in software."""
    corners = Kind.SURFACE.corners
    colors = (np.array([[*bottom, 1.0], [*bottom, 1.0], [*top, 1.0], [*top, 1.0]]) * 255).round().astype(np.uint8)
    batch = Batch(
        kind=Kind.SURFACE,
        surface=Surface(),
        points=np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32),
        elements=np.array([0, 1, 2, 0, 2, 3], np.int32).reshape(-1, corners),
        normals=np.empty((0, 3), np.float32),
        colors=colors,
        uvs=np.empty((0, 2), np.float32),
        transforms=np.empty((0, 4, 4)),
        point_frames=np.empty((0, 4, 3), np.float32),
        normal_frames=np.empty((0, 4, 3), np.float32),
        runs=np.zeros((1, 2), np.int32),
    )
    mapper, actor = vtkPolyDataMapper(), vtkActor()
    mapper.SetInputData(_poly_data(batch))
    mapper.SetColorModeToDirectScalars()
    actor.SetMapper(mapper)
    actor.UseBoundsOff()
    actor.GetProperty().LightingOff()
    shader = actor.GetShaderProperty()
    shader.AddVertexShaderReplacement("//VTK::PositionVC::Impl", True, _FARTHEST, False)
    return actor


class BatchActor:
    """One batch in VTK. `plain` draws it white and unlit, whatever its surface."""

    def __init__(self, batch: Batch, textures: list[vtkTexture], *, plain: bool = False) -> None:
        self._batch = batch
        self._data = _poly_data(batch)
        self._frame = -1
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(self._data)
        mapper.SetColorModeToDirectScalars()
        self.actor = vtkActor()
        self.actor.SetMapper(mapper)
        style = self.actor.GetProperty()
        style.SetLineWidth(_LINE_WIDTH)
        style.SetPointSize(_DOT_SIZE)
        self._lit = batch.kind is Kind.SURFACE and not plain
        if self._lit:
            self._light(batch)
        else:
            style.LightingOff()
        if plain:
            mapper.ScalarVisibilityOff()
            self.actor.ForceOpaqueOn()
            return
        if batch.surface.texture >= 0 and len(batch.uvs):
            self.actor.SetTexture(textures[batch.surface.texture])
        self.actor.SetForceTranslucent(batch.surface.translucent)
        self.actor.SetForceOpaque(not batch.surface.translucent)

    def set_frame(self, frame: int) -> None:
        """Move and bend to where it is in a frame of the timeline."""
        if frame == self._frame:
            return
        self._frame = frame
        batch = self._batch
        if len(batch.transforms):
            matrix = vtkMatrix4x4()
            matrix.DeepCopy(batch.transforms[min(frame, len(batch.transforms) - 1)].T.reshape(-1).tolist())
            self.actor.SetUserMatrix(matrix)
        if len(batch.point_frames):
            shown = min(frame, len(batch.point_frames) - 1)
            points = vtkPoints()
            points.SetData(data_array(batch.point_frames[shown]))
            self._data.SetPoints(points)
            self._data.GetPointData().SetNormals(data_array(batch.normal_frames[shown]))
            self._data.Modified()

    def set_up(self, up: Vector) -> None:
        """Tell the light where up is, as the camera sees it."""
        if self._lit:
            self._uniforms.SetUniform3f("upVC", up)

    def _light(self, batch: Batch) -> None:
        shader = self.actor.GetShaderProperty()
        shader.AddFragmentShaderReplacement("//VTK::Light::Impl", True, LIGHT, False)
        if not batch.surface.translucent:
            # A shader that may discard keeps the depth test from coming first.
            shader.AddFragmentShaderReplacement("    discard;", True, "", False)
        self._uniforms = shader.GetFragmentCustomUniforms()
        self._uniforms.SetUniformf("roughness", batch.surface.roughness)
        self._uniforms.SetUniformf("metallic", batch.surface.metallic)
        self._uniforms.SetUniform3f("emissive", batch.surface.emissive)
        self._uniforms.SetUniform3f("upVC", (0.0, 1.0, 0.0))


def _poly_data(batch: Batch) -> vtkPolyData:
    data = vtkPolyData()
    points = vtkPoints()
    points.SetData(data_array(batch.points))
    data.SetPoints(points)
    cells = vtkCellArray()
    count, corners = batch.elements.shape
    offsets = np.arange(count + 1, dtype=np.int64) * corners
    cells.SetData(
        id_array(offsets),
        id_array(batch.elements.reshape(-1).astype(np.int64)),
    )
    place = {Kind.SURFACE: data.SetPolys, Kind.LINES: data.SetLines, Kind.DOTS: data.SetVerts}[batch.kind]
    place(cells)
    attributes = data.GetPointData()
    attributes.SetScalars(data_array(batch.colors))
    if len(batch.normals):
        attributes.SetNormals(data_array(batch.normals))
    if len(batch.uvs):
        attributes.SetTCoords(data_array(batch.uvs))
    return data


def _texture(texture: Texture) -> vtkTexture:
    height, width, _ = texture.pixels.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(data_array(texture.pixels[::-1].reshape(-1, 4)))
    made = vtkTexture()
    made.SetInputData(image)
    made.SetColorModeToDirectScalars()
    made.InterpolateOn()
    made.MipmapOn()
    # Anisotropic filtering in software takes seconds a frame where texture coordinates are degenerate.
    made.SetMaximumAnisotropicFiltering(1)
    made.SetRepeat(texture.repeat)
    made.SetEdgeClamp(not texture.repeat)
    return made


def _reach(scene: Scene) -> Bounds:
    """A box that holds the scene in all of its frames."""
    lows, highs = [np.array(scene.bounds.low)], [np.array(scene.bounds.high)]
    for batch in scene.batches:
        shapes = batch.point_frames if len(batch.point_frames) else batch.points[None]
        if not len(batch.transforms) or not shapes.size:
            continue
        box = np.stack([shapes.min(axis=(0, 1)), shapes.max(axis=(0, 1))])
        corners = np.array([[box[x, 0], box[y, 1], box[z, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        placed = corners @ batch.transforms[:, :3, :3] + batch.transforms[:, None, 3, :3]
        lows.append(placed.min(axis=(0, 1)))
        highs.append(placed.max(axis=(0, 1)))
    low, high = np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()
    return Bounds((low[0], low[1], low[2]), (high[0], high[1], high[2]))
