"""The light in the picture, as GLSL for VTK's surface shader: the viewer's own, or what the stage brings.

VTK's own lights cost one pass of Phong arithmetic each, which software rendering feels. Arithmetic is in linear light,
its display encoding approximated by squares and roots; points' colours and colour textures come in display-referred.
Numbers that differ between surfaces are uniforms, so that surfaces with the same textures share a program; a
stage's lights are the same for all and stand in the text as constants.
"""

from collections.abc import Sequence

import numpy as np

from streamer.usd_viewer.scene import UNMOVED, Environment, Light, Lighting, LightKind, Slot, Surface, Texture, Wrap

BASE_TEXTURE, DETAIL_TEXTURE = "baseImage", "detailImage"
RELIEF_TEXTURE, GLOW_TEXTURE = "reliefImage", "glowImage"
ENVIRONMENT_TEXTURE = "environmentImage"
SLOT_TEXTURES = (BASE_TEXTURE, DETAIL_TEXTURE, RELIEF_TEXTURE, GLOW_TEXTURE)

_OWN_LIGHT = """
  float rise = dot(normal, upVC);
  vec3 sky = mix(vec3(0.34, 0.31, 0.29), vec3(0.50, 0.56, 0.66), 0.5 + 0.5 * rise);
  float key = max(dot(normal, vec3(-0.41, 0.64, 0.65)), 0.0);
  float fill = max(dot(normal, vec3(0.80, 0.10, 0.59)), 0.0);
  vec3 incoming = sky * (0.72 * open) + key * vec3(0.78, 0.75, 0.69) + fill * vec3(0.13, 0.16, 0.20);
  float gloss = 1.0 - rough;
  float grazing = 1.0 - facing;
  float grazing2 = grazing * grazing;
  vec3 fresnel = f0 + (vec3(1.0) - f0) * (grazing2 * grazing2 * grazing) * gloss * gloss;
  vec3 mirrored = reflect(-toEye, normal);
  float horizon = clamp(0.5 + dot(mirrored, upVC) / (0.4 + 1.6 * rough), 0.0, 1.0);
  vec3 around = mix(vec3(0.16, 0.15, 0.14), vec3(0.80, 0.88, 0.98), horizon) * ((1.0 - 0.45 * rough) * open);
  float glint = max(dot(mirrored, vec3(-0.41, 0.64, 0.65)), 0.0);
  float highlight = pow(glint, 4.0 + 120.0 * gloss * gloss) * (0.25 + 3.0 * gloss * gloss);
  vec3 light = base * (1.0 - metal) * incoming + fresnel * (around + highlight * vec3(1.0, 0.97, 0.92)) + glow;
"""

_WORLD = """
  vec3 normalW = rightW * normal.x + upW * normal.y + backwardW * normal.z;
  vec3 toEyeW = rightW * toEye.x + upW * toEye.y + backwardW * toEye.z;
  vec3 placeW = eyeW + rightW * vertexVC.x + upW * vertexVC.y + backwardW * vertexVC.z;
  float alpha2 = max(rough * rough * rough * rough, 0.0004);
  vec3 incoming = vec3(0.0);
  vec3 glints = vec3(0.0);
"""

# The specular term is Karis's approximation of GGX for mobile devices.
_ONE_LIGHT = """
    float faced = max(dot(normalW, l), 0.0) * reach;
    vec3 halfway = normalize(l + toEyeW);
    float along = max(dot(normalW, halfway), 0.0);
    float aside = max(dot(l, halfway), 0.3);
    float spread = along * along * (alpha2 - 1.0) + 1.0;
    incoming += POWER * (faced * 0.31831);
    glints += POWER * (faced * 0.0796 * alpha2 / (spread * spread * aside * aside * (rough + 0.5)));
"""

_STAGE_LIGHT = """
  vec4 lobe = rough * vec4(-1.0, -0.0275, -0.572, 0.022) + vec4(1.0, 0.0425, 1.04, -0.04);
  float rim = min(lobe.x * lobe.x, exp2(-9.28 * facing)) * lobe.x + lobe.y;
  vec3 fresnel = f0 * (-1.04 * rim + lobe.z) + vec3(1.04 * rim + lobe.w);
  vec3 light = base * (1.0 - metal) * incoming + f0 * glints + fresnel * around * open + glow;
  vec3 over = max(light - vec3(0.8), vec3(0.0));
  light = min(light, vec3(0.8)) + 0.2 * over / (over + vec3(0.2));
"""

_LOOKUP = """
  vec2 %(name)s = vec2(0.5 - atan(%(d)s.x, %(d)s.z) * 0.159155, asin(clamp(%(d)s.y, -1.0, 1.0)) * 0.31831 + 0.5);
"""


def surface_light(surface: Surface, textures: Sequence[Texture], lighting: Lighting) -> str:
    """GLSL in place of `//VTK::Light::Impl` for a surface with texture coordinates where it has textures."""
    parts = [
        "  vec3 toEye = normalize(-vertexVC.xyz);\n",
        # Seen from either side; VTK has turned the normal by the winding already, which many files have wrong.
        "  vec3 vertexNormal = normalVCVSOutput;\n",
        "  if (dot(vertexNormal, toEye) < 0.0) { vertexNormal = -vertexNormal; }\n",
        _base(surface, textures),
        _detail(surface, textures),
        _relief(surface, textures),
        _glow(surface, textures),
        "  float facing = max(dot(normal, toEye), 0.0);\n  vec3 f0 = mix(specular, base, metal);\n",
        _stage(lighting) if lighting else _OWN_LIGHT,
        "  gl_FragData[0] = vec4(sqrt(light), seen);\n",
    ]
    return "".join(parts)


def background_light(environment: Environment) -> str:
    """GLSL in place of `//VTK::Light::Impl` for a rectangle that shows the environment behind everything."""
    return (
        "  vec2 spot = (gl_FragCoord.xy / pictureSize * 2.0 - 1.0) * slopes;\n"
        "  vec3 ray = normalize(rightW * spot.x + upW * spot.y - backwardW);\n"
        + _environment_lookup(environment, "ray", "0.0")
        + "  vec3 over = max(around - vec3(0.8), vec3(0.0));\n"
        "  around = min(around, vec3(0.8)) + 0.2 * over / (over + vec3(0.2));\n"
        "  gl_FragData[0] = vec4(sqrt(around), 1.0);\n"
    )


def _base(surface: Surface, textures: Sequence[Texture]) -> str:
    color = "  vec3 base = diffuseColor;\n  float seen = opacity;\n"
    if surface.base.texture >= 0:
        color += _sampled(surface.base, textures, "base", BASE_TEXTURE)
        color += "  base *= baseTexel.rgb;\n  seen *= baseTexel.a;\n"
    if surface.cutoff > 0.0:
        color += "  if (seen < cutoff) { discard; }\n  seen = 1.0;\n"
    return color + "  base *= base;\n"


def _detail(surface: Surface, textures: Sequence[Texture]) -> str:
    if surface.detail.texture < 0:
        return "  float open = 1.0;\n  float rough = roughness;\n  float metal = metallic;\n"
    return (
        _sampled(surface.detail, textures, "detail", DETAIL_TEXTURE)
        + "  float open = detailTexel.r;\n  float rough = detailTexel.g;\n  float metal = detailTexel.b;\n"
    )


def _relief(surface: Surface, textures: Sequence[Texture]) -> str:
    """The normal; a texture's is turned by the tangents that screen-space derivatives give."""
    if surface.relief.texture < 0:
        return "  vec3 normal = vertexNormal;\n"
    return (
        _sampled(surface.relief, textures, "relief", RELIEF_TEXTURE)
        + """
  vec3 bent = reliefTexel.xyz * 2.0 - 1.0;
  vec3 acrossX = cross(dFdy(vertexVC.xyz), vertexNormal);
  vec3 acrossY = cross(vertexNormal, dFdx(vertexVC.xyz));
  vec2 uvX = dFdx(reliefFlat);
  vec2 uvY = dFdy(reliefFlat);
  vec3 tangent = acrossX * uvX.x + acrossY * uvY.x;
  vec3 bitangent = acrossX * uvX.y + acrossY * uvY.y;
  float longest = max(dot(tangent, tangent), dot(bitangent, bitangent));
  float shrink = longest > 0.0 ? inversesqrt(longest) : 0.0;
  vec3 normal = normalize(tangent * (bent.x * shrink) + bitangent * (bent.y * shrink) + vertexNormal * bent.z);
"""
    )


def _glow(surface: Surface, textures: Sequence[Texture]) -> str:
    if surface.glow.texture < 0:
        return "  vec3 glow = emissive;\n"
    return (
        _sampled(surface.glow, textures, "glow", GLOW_TEXTURE)
        + "  vec3 glow = emissive * glowTexel.rgb * glowTexel.rgb;\n"
    )


def _sampled(slot: Slot, textures: Sequence[Texture], name: str, sampler: str) -> str:
    """Declares `<name>Texel`, and `<name>Flat`: the coordinates before they are wrapped."""
    flat = "tcoordVCVSOutput"
    if slot.placement != UNMOVED:
        a, b, c, d, e, f = (_number(value) for value in slot.placement)
        flat = f"(tcoordVCVSOutput.x * vec2({a}, {b}) + tcoordVCVSOutput.y * vec2({c}, {d}) + vec2({e}, {f}))"
    text = f"  vec2 {name}Flat = {flat};\n  vec2 {name}Uv = {name}Flat;\n"
    wrap = textures[slot.texture].wrap
    outside = ""
    for axis, kind in zip("xy", wrap, strict=True):
        # Where both directions wrap alike the texture itself does it.
        if kind is not wrap[0] or kind is not wrap[1]:
            text += _wrapped(f"{name}Uv.{axis}", kind)
        if kind is Wrap.BLACK:
            outside += f"  if ({name}Flat.{axis} < 0.0 || {name}Flat.{axis} > 1.0) {{ {name}Texel = vec4(0.0); }}\n"
    return text + f"  vec4 {name}Texel = texture({sampler}, {name}Uv);\n" + outside


def _wrapped(coordinate: str, wrap: Wrap) -> str:
    match wrap:
        case Wrap.REPEAT:
            return ""
        case Wrap.MIRROR:
            return f"  {coordinate} = 1.0 - abs(mod({coordinate}, 2.0) - 1.0);\n"
        case Wrap.CLAMP | Wrap.BLACK:
            return f"  {coordinate} = clamp({coordinate}, 0.001, 0.999);\n"


def _stage(lighting: Lighting) -> str:
    text = _WORLD + "".join(_light(light) for light in lighting.lights)
    environment = lighting.environment
    if environment is None:
        ambient = _number(lighting.ambient)
        text += f"  incoming += vec3({ambient} * open);\n  vec3 around = vec3({ambient});\n"
    else:
        text += _irradiance(environment)
        most = np.log2(max(environment.pixels.shape[1], 2))
        text += "  vec3 mirrored = reflect(-toEyeW, normalW);\n"
        text += _environment_lookup(environment, "mirrored", f"rough * {_number(most - 1.0)}")
    return text + _STAGE_LIGHT


def _light(light: Light) -> str:
    at, toward = _vector(light.position), _vector(light.direction)
    if light.kind is LightKind.DISTANT:
        text = f"    vec3 l = -{toward};\n    float reach = 1.0;\n"
    else:
        nearest = _number(max(light.radius * light.radius, 1e-12))
        text = f"    vec3 apart = {at} - placeW;\n    float apart2 = max(dot(apart, apart), {nearest});\n"
        text += "    vec3 l = normalize(apart);\n    float reach = 1.0 / apart2;\n"
    if light.kind is LightKind.PANEL:
        text += f"    reach *= max(-dot(l, {toward}), 0.0);\n"
    if light.kind is LightKind.TUBE:
        text += (
            f"    float lengthwise = dot(l, {toward});\n    reach *= sqrt(max(1.0 - lengthwise * lengthwise, 0.0));\n"
        )
    if light.cone[1] > -1.0 and light.kind is not LightKind.DISTANT:
        dark, full = _number(light.cone[1]), _number(light.cone[0])
        text += f"    reach *= smoothstep({dark}, {full}, -dot(l, {toward}));\n"
    return "  {\n" + text + _ONE_LIGHT.replace("POWER", _vector(light.power)) + "  }\n"


def _irradiance(environment: Environment) -> str:
    """Irradiance / pi from nine spherical harmonics, multiplied out."""
    c = [_vector(row) for row in environment.harmonics * _BASIS[:, None]]
    x, y, z = (_vector(axis) for axis in environment.axes)
    return (
        f"  vec3 n = vec3(dot(normalW, {x}), dot(normalW, {y}), dot(normalW, {z}));\n"
        f"  vec3 ambient = {c[0]} + {c[1]} * n.y + {c[2]} * n.z + {c[3]} * n.x + {c[4]} * (n.x * n.y)\n"
        f"    + {c[5]} * (n.y * n.z) + {c[6]} * (3.0 * n.z * n.z - 1.0) + {c[7]} * (n.x * n.z)\n"
        f"    + {c[8]} * (n.x * n.x - n.y * n.y);\n"
        "  incoming += max(ambient, vec3(0.0)) * open;\n"
    )


_BASIS = np.array([0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274])


def _environment_lookup(environment: Environment, ray: str, level: str) -> str:
    """Declares `around`: what the environment sends from where a unit vector in the scene points."""
    x, y, z = (_vector(axis) for axis in environment.axes)
    return (
        f"  vec3 domed = vec3(dot({ray}, {x}), dot({ray}, {y}), dot({ray}, {z}));\n"
        + _LOOKUP % {"name": "domeUv", "d": "domed"}
        + f"  vec3 around = textureLod({ENVIRONMENT_TEXTURE}, domeUv, {level}).rgb;\n"
        + f"  around *= around * {_number(environment.peak)};\n"
    )


def _vector(values: Sequence[float] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    return "vec3(" + ", ".join(_number(float(value)) for value in values) + ")"


def _number(value: float) -> str:
    """As GLSL writes it; 0 for what is no number, since the process that read the stage is not trusted."""
    finite = min(max(value, -1e30), 1e30) if np.isfinite(value) else 0.0
    return f"{finite:.9e}"
