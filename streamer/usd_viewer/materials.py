"""Bound materials as what the picture uses of them: UsdPreviewSurface, and of other surfaces what is called alike."""

from dataclasses import dataclass, replace

from pxr import Usd, UsdShade

from streamer.usd_viewer.shader_inputs import Input, TextureRead, asset_of, find_input, read_input

_BASE_COLOR = ("diffuseColor", "diffuse_color_constant", "base_color", "baseColor", "diffuse_reflection_color")
_BASE_TEXTURE = ("diffuse_texture", "base_color_texture", "baseColorTexture")
_ROUGHNESS = ("roughness", "reflection_roughness_constant", "specular_roughness")
_METALLIC = ("metallic", "metallic_constant", "metalness", "base_metalness")
_EMISSIVE = ("emissiveColor", "emission_color")
_OPACITY = ("opacity", "opacity_constant")
_NOT_DRAWN = {
    "clearcoat": "materials with a clear coat, drawn without",
    "displacement": "materials with displacement, drawn without",
}
NOT_UNDERSTOOD = "materials whose surface is not understood, drawn in the prim's own colour"
DEFAULT_IOR = 1.5


_ONE, _HALF, _NONE = Input((1.0,)), Input((0.5,)), Input((0.0,))
_BLACK, _STRAIGHT, _DIELECTRIC = Input((0.0, 0.0, 0.0)), Input((0.0, 0.0, 1.0)), Input((0.04, 0.04, 0.04))


@dataclass(frozen=True, slots=True)
class Material:
    """Linear values, and the textures or primvars that take their places."""

    base_color: Input
    opacity: Input = _ONE
    opacity_threshold: float = 0.0
    roughness: Input = _HALF
    metallic: Input = _NONE
    occlusion: Input = _ONE
    emissive: Input = _BLACK
    normal: Input = _STRAIGHT
    specular: Input = _DIELECTRIC
    not_drawn: tuple[str, ...] = ()
    """What of it the picture lacks, in words."""

    @property
    def textures(self) -> tuple[TextureRead, ...]:
        """All that it reads."""
        inputs = (self.base_color, self.opacity, self.roughness, self.metallic, self.occlusion)
        found = (one.texture for one in (*inputs, self.emissive, self.normal))
        return tuple(texture for texture in found if texture is not None)


UNBOUND = Material(
    base_color=Input((0.5, 0.5, 0.5), primvar="displayColor"), opacity=Input((1.0,), primvar="displayOpacity")
)


def bound_material(prim: Usd.Prim) -> UsdShade.Material:
    """The material bound to a prim or subset, the preview's before any other; may be invalid."""
    api = UsdShade.MaterialBindingAPI(prim)
    for purpose in (UsdShade.Tokens.preview, UsdShade.Tokens.full):
        material, _ = api.ComputeBoundMaterial(purpose)
        if material:
            return material
    return UsdShade.Material()


def read_material(material: UsdShade.Material, time: Usd.TimeCode) -> Material:
    """What is drawn of a material; one whose surface says nothing that is understood is UNBOUND, and says so."""
    shader = _surface(material)
    if shader is None:
        return replace(UNBOUND, not_drawn=(NOT_UNDERSTOOD,))
    preview = shader.GetIdAttr().Get() == "UsdPreviewSurface"
    base = find_input(shader, _BASE_COLOR)
    plain_texture = asset_of(find_input(shader, _BASE_TEXTURE), time)
    if base is None and plain_texture is None and not preview:
        return replace(UNBOUND, not_drawn=(NOT_UNDERSTOOD,))
    if plain_texture is not None:
        read = TextureRead(plain_texture.resolvedPath, plain_texture.path, uv_name="st")
        base_color = Input((1.0, 1.0, 1.0), texture=read)
    else:
        base_color = read_input(base, (0.18, 0.18, 0.18), time)
    specular_workflow = preview and _specular_workflow(shader, time)
    return Material(
        base_color=base_color,
        opacity=read_input(find_input(shader, _OPACITY), (1.0,), time),
        opacity_threshold=_unit(read_input(find_input(shader, ("opacityThreshold",)), (0.0,), time).value[0]),
        roughness=read_input(find_input(shader, _ROUGHNESS), (0.5,), time),
        metallic=Input((0.0,)) if specular_workflow else read_input(find_input(shader, _METALLIC), (0.0,), time),
        occlusion=read_input(find_input(shader, ("occlusion",)), (1.0,), time),
        emissive=read_input(find_input(shader, _EMISSIVE), (0.0, 0.0, 0.0), time),
        normal=read_input(find_input(shader, ("normal",)) if preview else None, (0.0, 0.0, 1.0), time),
        specular=_specular(shader, time) if preview else _DIELECTRIC,
        not_drawn=tuple(_missing(shader, time)) if preview else (),
    )


def _surface(material: UsdShade.Material) -> UsdShade.Shader | None:
    for context in (UsdShade.Tokens.universalRenderContext, "mdl", "mtlx"):
        shader = material.ComputeSurfaceSource(context)[0]
        if shader:
            return shader
    return None


def _specular(shader: UsdShade.Shader, time: Usd.TimeCode) -> Input:
    """What is mirrored head-on: an authored colour, or what the index of refraction makes of it."""
    if _specular_workflow(shader, time):
        return read_input(find_input(shader, ("specularColor",)), (0.0, 0.0, 0.0), time)
    ior = max(read_input(find_input(shader, ("ior",)), (DEFAULT_IOR,), time).value[0], 1.0)
    head_on = ((ior - 1.0) / (ior + 1.0)) ** 2
    return Input((head_on, head_on, head_on))


def _specular_workflow(shader: UsdShade.Shader, time: Usd.TimeCode) -> bool:
    return bool(read_input(find_input(shader, ("useSpecularWorkflow",)), (0.0,), time).value[0])


def _missing(shader: UsdShade.Shader, time: Usd.TimeCode) -> list[str]:
    told = []
    for name, text in _NOT_DRAWN.items():
        found = read_input(find_input(shader, (name,)), (0.0,), time)
        if found.texture or found.primvar or found.value[0]:
            told.append(text)
    if find_input(shader, ("specularColor",)) and _specular(shader, time).texture:
        told.append("materials with a texture of specular colour, drawn in one colour")
    return told


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
