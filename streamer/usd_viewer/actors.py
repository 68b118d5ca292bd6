"""A scene's batches and textures as VTK actors, with the frame that is shown."""

from dataclasses import dataclass

import numpy as np
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkTexture

from streamer.usd_viewer.camera import Bounds, Camera, Vector, dot
from streamer.usd_viewer.lighting import ENVIRONMENT_TEXTURE, SLOT_TEXTURES, surface_light
from streamer.usd_viewer.parts import copied, copied_normals, owner_of, reach_of
from streamer.usd_viewer.scene import Batch, Bytes, Floats, Integers, Kind, Scene, Wrap
from streamer.usd_viewer.vtk_arrays import data_array, id_array

LINE_WIDTH, _DOT_SIZE = 1.5, 4.0
_WRAPS = {
    Wrap.REPEAT: vtkTexture.Repeat,
    Wrap.MIRROR: vtkTexture.MirroredRepeat,
    Wrap.CLAMP: vtkTexture.ClampToEdge,
    Wrap.BLACK: vtkTexture.ClampToEdge,
}


@dataclass(frozen=True, slots=True)
class View:
    """From where the scene is seen, as its shaders ask for it."""

    right: Vector
    up: Vector
    backward: Vector
    eye: Vector
    world_up: Vector

    @classmethod
    def of(cls, camera: Camera) -> "View":
        """That of a camera."""
        return cls(camera.right, camera.up, camera.backward, camera.eye, camera.world_up)


class SceneActors:
    """All of a scene in one renderer, until removed."""

    def __init__(self, scene: Scene, renderer: vtkRenderer, environment: vtkTexture | None = None) -> None:
        self.bounds: Bounds = reach_of(scene)
        self._renderer = renderer
        self._scene = scene
        self._view: View | None = None
        textures = [picture_texture(texture.pixels, texture.wrap) for texture in scene.textures]
        self._actors = [BatchActor(batch) for batch in scene.batches]
        for actor in self._actors:
            actor.light(scene, textures, environment)
            renderer.AddActor(actor.actor)

    def set_frame(self, frame: int) -> None:
        """Move everything to where it is in a frame of the timeline."""
        for actor in self._actors:
            actor.set_frame(frame)

    def set_view(self, view: View) -> None:
        """Tell the light from where the scene is seen."""
        if view != self._view:
            self._view = view
            for actor in self._actors:
                actor.set_view(view)

    def wireframe(self, on: bool) -> None:
        """Draw surfaces by their edges alone, or whole again."""
        for actor in self._actors:
            style = actor.actor.GetProperty()
            style.SetRepresentationToWireframe() if on else style.SetRepresentationToSurface()

    def prim_of(self, prop: object, element: int) -> str | None:
        """The path of the prim to which an element of one of the actors belongs."""
        drawn = (batch for actor, batch in zip(self._actors, self._scene.batches, strict=True) if actor.actor is prop)
        batch = next(drawn, None)
        return None if batch is None else self._scene.paths[owner_of(batch, element % max(len(batch.elements), 1))]

    def remove(self) -> None:
        """Take everything out of the renderer and off the GPU. Idempotent."""
        for actor in self._actors:
            self._renderer.RemoveActor(actor.actor)
            actor.actor.ReleaseGraphicsResources(self._renderer.GetRenderWindow())
        self._actors.clear()


class BatchActor:
    """One batch in VTK: white and unlit until it is lit."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        count = batch.copies.shape[1] if len(batch.copies) else 1
        self._data = poly_data(batch.kind, batch.points, repeated(batch.elements, count, len(batch.points)))
        self._frame = -1
        self._mapper = vtkPolyDataMapper()
        self._mapper.SetInputData(self._data)
        self._mapper.ScalarVisibilityOff()
        self.actor = vtkActor()
        self.actor.SetMapper(self._mapper)
        self.actor.ForceOpaqueOn()
        style = self.actor.GetProperty()
        style.SetLineWidth(LINE_WIDTH)
        style.SetPointSize(_DOT_SIZE)
        style.LightingOff()
        self._lit = False
        self._in_world = False

    def light(self, scene: Scene, textures: list[vtkTexture], environment: vtkTexture | None) -> None:
        """Give it its colours and textures, and the light of its scene."""
        batch, surface = self._batch, self._batch.surface
        count = batch.copies.shape[1] if len(batch.copies) else 1
        attributes = self._data.GetPointData()
        attributes.SetScalars(data_array(np.tile(batch.colors, (count, 1))))
        self._mapper.ScalarVisibilityOn()
        self._mapper.SetColorModeToDirectScalars()
        self.actor.SetForceTranslucent(surface.translucent)
        self.actor.SetForceOpaque(not surface.translucent)
        if batch.kind is not Kind.SURFACE:
            return
        self._lit, self._in_world = True, bool(scene.lighting)
        self.actor.GetProperty().LightingOn()
        if len(batch.normals):
            attributes.SetNormals(data_array(np.tile(batch.normals, (count, 1))))
        sampled = [(name, slot.texture) for name, slot in zip(SLOT_TEXTURES, surface.slots, strict=True)]
        for name, texture in sampled:
            if texture >= 0:
                self.actor.GetProperty().SetTexture(name, textures[texture])
        if environment is not None:
            self.actor.GetProperty().SetTexture(ENVIRONMENT_TEXTURE, environment)
        if len(batch.uvs) or environment is not None:
            uvs = batch.uvs if len(batch.uvs) else np.zeros((len(batch.points), 2), np.float32)
            attributes.SetTCoords(data_array(np.tile(uvs, (count, 1))))
        self._shade(scene)

    def set_frame(self, frame: int) -> None:
        """Move, bend and hide as in a frame of the timeline."""
        if frame == self._frame:
            return
        self._frame = frame
        batch = self._batch
        if len(batch.shown):
            self.actor.SetVisibility(bool(batch.shown[min(frame, len(batch.shown) - 1)]))
        if len(batch.transforms):
            matrix = vtkMatrix4x4()
            matrix.DeepCopy(batch.transforms[min(frame, len(batch.transforms) - 1)].T.reshape(-1).tolist())
            self.actor.SetUserMatrix(matrix)
        if len(batch.point_frames):
            shown = min(frame, len(batch.point_frames) - 1)
            self._bend(batch.point_frames[shown], batch.normal_frames[shown])
        elif len(batch.copies):
            matrices = batch.copies[min(frame, len(batch.copies) - 1)]
            self._bend(copied(batch.points, matrices), copied_normals(batch.normals, matrices))

    def set_view(self, view: View) -> None:
        """Tell the light from where the scene is seen."""
        if self._in_world:
            self._uniforms.SetUniform3f("rightW", view.right)
            self._uniforms.SetUniform3f("upW", view.up)
            self._uniforms.SetUniform3f("backwardW", view.backward)
            self._uniforms.SetUniform3f("eyeW", view.eye)
        elif self._lit:
            up = view.world_up
            self._uniforms.SetUniform3f("upVC", (dot(up, view.right), dot(up, view.up), dot(up, view.backward)))

    def _bend(self, points: Floats, normals: Floats) -> None:
        moved = vtkPoints()
        moved.SetData(data_array(points))
        self._data.SetPoints(moved)
        if self._lit and len(normals):
            self._data.GetPointData().SetNormals(data_array(normals))
        self._data.Modified()

    def _shade(self, scene: Scene) -> None:
        surface = self._batch.surface
        shader = self.actor.GetShaderProperty()
        text = surface_light(surface, scene.textures, scene.lighting)
        shader.AddFragmentShaderReplacement("//VTK::Light::Impl", True, text, False)
        # The textures are read above; VTK would multiply them onto the result.
        shader.AddFragmentShaderReplacement("//VTK::TCoord::Impl", True, "", False)
        if not surface.translucent:
            # A shader that may discard keeps the depth test from coming first.
            shader.AddFragmentShaderReplacement("    discard;", True, "", False)
        self._uniforms = shader.GetFragmentCustomUniforms()
        self._uniforms.SetUniformf("roughness", surface.roughness)
        self._uniforms.SetUniformf("metallic", surface.metallic)
        self._uniforms.SetUniform3f("specular", surface.specular)
        self._uniforms.SetUniform3f("emissive", surface.emissive)
        self._uniforms.SetUniformf("cutoff", surface.cutoff)
        self.set_view(View((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)))


def repeated(elements: Integers, copies: int, points: int) -> Integers:
    """The elements of so many copies of as many points, one after the other."""
    starts = (np.arange(copies, dtype=np.int32) * points)[:, None, None]
    every: Integers = (elements[None] + starts).reshape(-1, elements.shape[1])
    return every


def poly_data(kind: Kind, points: Floats, elements: Integers) -> vtkPolyData:
    """Geometry alone."""
    data = vtkPolyData()
    places = vtkPoints()
    places.SetData(data_array(points))
    data.SetPoints(places)
    cells = vtkCellArray()
    count, corners = elements.shape
    cells.SetData(
        id_array(np.arange(count + 1, dtype=np.int64) * corners),
        id_array(elements.reshape(-1).astype(np.int64)),
    )
    place = {Kind.SURFACE: data.SetPolys, Kind.LINES: data.SetLines, Kind.DOTS: data.SetVerts}[kind]
    place(cells)
    return data


def picture_texture(pixels: Bytes, wrap: tuple[Wrap, Wrap]) -> vtkTexture:
    """A texture of (height, width, 4), first row on top; where directions wrap differently, the shader sees to it."""
    height, width, _ = pixels.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    image.GetPointData().SetScalars(data_array(pixels[::-1].reshape(-1, 4)))
    made = vtkTexture()
    made.SetInputData(image)
    made.SetColorModeToDirectScalars()
    made.InterpolateOn()
    made.MipmapOn()
    # Anisotropic filtering in software takes seconds a frame where texture coordinates are degenerate.
    made.SetMaximumAnisotropicFiltering(1)
    made.SetWrap(_WRAPS[wrap[0]] if wrap[0] is wrap[1] else vtkTexture.Repeat)
    return made
