"""What is seen behind the scene: a gradient, or the stage's own environment."""

import math

import numpy as np
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkTexture

from streamer.usd_viewer.actors import View, picture_texture, poly_data
from streamer.usd_viewer.backdrop import BOTTOM, TOP
from streamer.usd_viewer.lighting import ENVIRONMENT_TEXTURE, background_light
from streamer.usd_viewer.scene import Environment, Kind, Wrap
from streamer.usd_viewer.vtk_arrays import data_array

_FARTHEST = "  gl_Position = vec4(vertexMC.xy, 0.99999, 1.0);\n"
_CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def environment_texture(environment: Environment) -> vtkTexture:
    """An environment's picture, for background and surfaces alike."""
    texture = picture_texture(environment.pixels, (Wrap.REPEAT, Wrap.CLAMP))
    texture.SetWrap(vtkTexture.Repeat)
    return texture


class Background:
    """A rectangle behind everything, whatever the camera: half the price of VTK's own gradient in software."""

    def __init__(self, environment: Environment | None = None, texture: vtkTexture | None = None) -> None:
        data = poly_data(Kind.SURFACE, _CORNERS, _TRIANGLES)
        mapper, self.actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(data)
        mapper.SetColorModeToDirectScalars()
        colors = (np.array([[*BOTTOM, 1.0], [*BOTTOM, 1.0], [*TOP, 1.0], [*TOP, 1.0]]) * 255).round()
        data.GetPointData().SetScalars(data_array(colors.astype(np.uint8)))
        self.actor.SetMapper(mapper)
        self.actor.UseBoundsOff()
        self.actor.PickableOff()
        self.actor.GetProperty().LightingOff()
        shader = self.actor.GetShaderProperty()
        shader.AddVertexShaderReplacement("//VTK::PositionVC::Impl", True, _FARTHEST, False)
        self._uniforms = None
        if environment is not None and texture is not None:
            data.GetPointData().SetTCoords(data_array(np.zeros((4, 2), np.float32)))
            self.actor.GetProperty().SetTexture(ENVIRONMENT_TEXTURE, texture)
            shader.AddFragmentShaderReplacement("//VTK::Light::Impl", True, background_light(environment), False)
            shader.AddFragmentShaderReplacement("//VTK::TCoord::Impl", True, "", False)
            self._uniforms = shader.GetFragmentCustomUniforms()

    def set_view(self, view: View, field_of_view: float, width: int, height: int) -> None:
        """Tell it what part of the environment is seen."""
        if self._uniforms is None:
            return
        slope = math.tan(field_of_view / 2.0)
        self._uniforms.SetUniform3f("rightW", view.right)
        self._uniforms.SetUniform3f("upW", view.up)
        self._uniforms.SetUniform3f("backwardW", view.backward)
        self._uniforms.SetUniform2f("slopes", (slope * width / height, slope))
        self._uniforms.SetUniform2f("pictureSize", (float(width), float(height)))
