"""Textures as surfaces use them: what a material reads from whichever files, baked into at most four images."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import numpy as np

from streamer.usd_viewer.color import from_srgb, to_srgb
from streamer.usd_viewer.materials import Material
from streamer.usd_viewer.omissions import Omissions
from streamer.usd_viewer.scene import Bytes, Doubles, Texture
from streamer.usd_viewer.shader_inputs import Input, TextureRead
from streamer.usd_viewer.stage_policy import StagePolicy, shorten
from streamer.usd_viewer.textures import BadTexture, Image, read_image

MAX_TEXTURES = 128
_PLAIN = ((1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0))
_UNPACKED = ((2.0, 2.0, 2.0, 1.0), (-1.0, -1.0, -1.0, 0.0))


class Role(Enum):
    """What the numbers of an image mean where they are used."""

    COLOR = auto()
    DATA = auto()
    NORMAL = auto()


@dataclass(frozen=True, slots=True)
class _Channels:
    """Where some channels of a baked image come from: a texture, or bytes where that is None or cannot be read."""

    read: TextureRead | None
    role: Role
    targets: tuple[int, ...]
    constant: tuple[int, ...]


@dataclass(slots=True)
class TextureSlots:
    """Collects the textures of a stage.

    Args:
        omissions: counts what could not be read.
    """

    policy: StagePolicy
    omissions: Omissions
    _images: dict[str, Image | None] = field(default_factory=dict)
    _baked: dict[tuple[_Channels, ...], int] = field(default_factory=dict)
    _textures: list[Texture] = field(default_factory=list)
    _least_alphas: list[int] = field(default_factory=list)

    @property
    def textures(self) -> tuple[Texture, ...]:
        """All so far, in the order of their indices."""
        return tuple(self._textures)

    def base(self, material: Material) -> int:
        """Colour and opacity: an index, or -1 where neither is textured."""
        return self._bake(
            _Channels(material.base_color.texture, Role.COLOR, (0, 1, 2), _bytes(material.base_color, white=True)),
            _Channels(material.opacity.texture, Role.DATA, (3,), (255,)),
        )

    def detail(self, material: Material) -> int:
        """Occlusion, roughness and metallic, likewise."""
        inputs = (material.occlusion, material.roughness, material.metallic)
        return self._bake(
            *(_Channels(one.texture, Role.DATA, (at,), _bytes(one)) for at, one in enumerate(inputs)),
        )

    def relief(self, material: Material) -> int:
        """Normals, likewise."""
        read = material.normal.texture
        if read is not None and (read.scale, read.bias) == _PLAIN:
            # Said nothing, it is meant to be unpacked all the same.
            read = replace(read, scale=_UNPACKED[0], bias=_UNPACKED[1])
        return self._bake(_Channels(read, Role.NORMAL, (0, 1, 2), (128, 128, 255)))

    def glow(self, material: Material) -> tuple[int, float]:
        """Emitted colour, likewise, and by how much it is brighter than the image can say."""
        read = material.emissive.texture
        if read is None:
            return -1, 1.0
        strength = max(1.0, *(read.scale[at] + max(read.bias[at], 0.0) for at in range(3)))
        scale = (read.scale[0] / strength, read.scale[1] / strength, read.scale[2] / strength, 1.0)
        bias = (read.bias[0] / strength, read.bias[1] / strength, read.bias[2] / strength, 0.0)
        dimmed = replace(read, scale=scale, bias=bias)
        return self._bake(_Channels(dimmed, Role.COLOR, (0, 1, 2), (0, 0, 0))), strength

    def least_alpha(self, texture: int) -> int:
        """The alpha, of 255, where a baked texture is most transparent."""
        return self._least_alphas[texture]

    def _bake(self, *parts: _Channels) -> int:
        if all(part.read is None for part in parts):
            return -1
        if parts not in self._baked:
            self._baked[parts] = self._add(parts)
        return self._baked[parts]

    def _add(self, parts: tuple[_Channels, ...]) -> int:
        found = [(part, image) for part in parts if part.read and (image := self._image(part.read)) is not None]
        if not found:
            return -1
        if len(self._textures) >= MAX_TEXTURES:
            self.omissions.add(f"textures beyond the first {MAX_TEXTURES}")
            return -1
        height = max(image.pixels.shape[0] for _, image in found)
        width = max(image.pixels.shape[1] for _, image in found)
        pixels = np.full((height, width, 4), 255, np.uint8)
        for part in parts:
            pixels[..., part.targets] = part.constant
        for part, image in found:
            assert part.read is not None
            pixels[..., part.targets] = _stretched(_values(image, part.read, part.role), height, width)
        first = found[0][0].read
        assert first is not None
        self._textures.append(Texture(pixels, first.wrap))
        self._least_alphas.append(int(pixels[..., 3].min()))
        return len(self._textures) - 1

    def _image(self, read: TextureRead) -> Image | None:
        key = read.asset or read.authored
        if key not in self._images:
            self._images[key] = self._load(read)
        return self._images[key]

    def _load(self, read: TextureRead) -> Image | None:
        try:
            if not read.asset:
                raise BadTexture("it is missing")
            return read_image(read.asset, self.policy)
        except BadTexture as error:
            self.omissions.add(f"texture {shorten(read.authored)}: {error}")
            return None


def _bytes(given: Input, *, white: bool = False) -> tuple[int, ...]:
    """The bytes that stand for an input that is not textured, or cannot be."""
    if white and given.texture is None:
        return (255,) * len(given.value)
    values = np.clip(given.value, 0.0, 1.0)
    encoded = to_srgb(values) if white else values
    return tuple(int(value) for value in (encoded * 255).round())


def _values(image: Image, read: TextureRead, role: Role) -> Bytes:
    """(height, width, 1 or 3): what a surface reads, as the bytes that stand for it in its role."""
    sources = (0, 1, 2) if read.channel == "rgb" and role is not Role.DATA else ("rgba".find(read.channel[0]),)
    columns = []
    for source in sources:
        table = _table(read, source, role, linear=_is_linear(read, image, source, role))
        columns.append(table[image.pixels[..., source]])
    return np.stack(columns, axis=2)


def _is_linear(read: TextureRead, image: Image, source: int, role: Role) -> bool:
    """Whether the stored numbers are the values, not their display-referred encoding."""
    if source == 3 or role is Role.NORMAL:
        return True
    if read.color_space == "auto":
        return image.channels < 3
    return read.color_space != "sRGB"


def _table(read: TextureRead, source: int, role: Role, *, linear: bool) -> Bytes:
    """(256,) what becomes of each stored byte."""
    stored: Doubles = np.arange(256) / 255
    decode: Callable[[Doubles], Doubles] = (lambda values: values) if linear else from_srgb
    values = decode(stored) * read.scale[source] + read.bias[source]
    if role is Role.NORMAL:
        values = values * 0.5 + 0.5
    values = np.clip(values, 0.0, 1.0)
    if role is Role.COLOR:
        values = to_srgb(values)
    return np.asarray((values * 255).round(), np.uint8)


def _stretched(pixels: Bytes, height: int, width: int) -> Bytes:
    """To another size, by the nearest pixels."""
    rows, columns, _ = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    stretched: Bytes = pixels[np.arange(height) * rows // height][:, np.arange(width) * columns // width]
    return stretched
