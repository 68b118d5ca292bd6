"""Image files of a stage as pixels: decoded by format, never by sniffing, and scaled to a bounded size."""

import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from pxr import Ar

from streamer.usd_viewer.color import to_srgb
from streamer.usd_viewer.scene import Bytes, Floats
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused

MAX_FILE_BYTES = 128 * 1024 * 1024
MAX_SIDE = 1024
MAX_RADIANCE_SIDE = 2048
MAX_RADIANCE = 1e5
_DEMUXERS = {
    ".png": "png_pipe",
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
    ".bmp": "bmp_pipe",
    ".tif": "tiff_pipe",
    ".tiff": "tiff_pipe",
    ".webp": "webp_pipe",
    ".hdr": "hdr_pipe",
    ".exr": "exr_pipe",
}
_LINEAR = {".hdr", ".exr"}
_FLOAT_FORMATS = {"gbrpf32le": 3, "gbrapf32le": 4}


class BadTexture(Exception):
    """An image that cannot be used; its text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded image, first row on top."""

    pixels: Bytes
    """(height, width, 4) RGBA, as stored; what is stored as radiance is display-referred here"""
    channels: int
    """In the file: those of a grey one are alike here."""


def read_image(asset: str, policy: StagePolicy) -> Image:
    """Decode the image at a resolved path, which may lie inside a package. BadTexture where that fails."""
    frame, linear = _open(asset, policy)
    if linear:
        radiance = _radiance(frame, MAX_SIDE)
        colors = (to_srgb(np.clip(radiance, 0.0, 1.0).astype(np.float64)) * 255).round()
        opaque = np.full((*colors.shape[:2], 1), 255.0)
        return Image(np.concatenate([colors, opaque], axis=2).astype(np.uint8), 3)
    shrink = max(frame.width, frame.height, 1) / MAX_SIDE
    width, height = (max(1, round(side / max(shrink, 1.0))) for side in (frame.width, frame.height))
    try:
        picture = frame.reformat(width=width, height=height, format="rgba")
        return Image(np.ascontiguousarray(picture.to_ndarray()), len(frame.format.components))
    except (FFmpegError, ValueError) as error:
        raise BadTexture("it cannot be decoded") from error


def read_radiance(asset: str, policy: StagePolicy) -> Floats:
    """(height, width, 3) of linear light, from an image of radiance or of display colours. BadTexture."""
    frame, linear = _open(asset, policy)
    if linear:
        return _radiance(frame, MAX_RADIANCE_SIDE)
    try:
        colors = frame.reformat(format="rgb24").to_ndarray().astype(np.float32) / 255
    except (FFmpegError, ValueError) as error:
        raise BadTexture("it cannot be decoded") from error
    return _shrunk(np.square(colors), MAX_RADIANCE_SIDE)


def _open(asset: str, policy: StagePolicy) -> tuple[VideoFrame, bool]:
    """The first frame of an admitted image, and whether it is radiance."""
    file = Ar.SplitPackageRelativePathOuter(asset)[0]
    try:
        policy.inside(Path(file), PurePosixPath(file).name)
    except StageRefused as error:
        raise BadTexture(error.reason) from error
    suffix = PurePosixPath(asset.removesuffix("]")).suffix.lower()
    demuxer = _DEMUXERS.get(suffix)
    if demuxer is None:
        raise BadTexture("its format is not one of " + " ".join(sorted(_DEMUXERS)))
    try:
        with av.open(io.BytesIO(_content(asset)), mode="r", format=demuxer) as container:
            return next(container.decode(video=0)), suffix in _LINEAR
    except (FFmpegError, StopIteration, ValueError, IndexError) as error:
        raise BadTexture("it cannot be decoded") from error


def _content(asset: str) -> bytes:
    opened = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(asset))
    if not opened:
        raise BadTexture("it cannot be read")
    with opened as content:
        if content.GetSize() > MAX_FILE_BYTES:
            raise BadTexture(f"it is larger than {MAX_FILE_BYTES} bytes")
        return bytes(content.GetBuffer())


def _radiance(frame: VideoFrame, side: int) -> Floats:
    if frame.format.name not in _FLOAT_FORMATS:
        raise BadTexture(f"its pixels are {frame.format.name}, not 32-bit colours")
    values = frame.to_ndarray()[..., :3].astype(np.float32)
    return _shrunk(np.clip(np.nan_to_num(values, posinf=MAX_RADIANCE), 0.0, MAX_RADIANCE), side)


def _shrunk(values: Floats, side: int) -> Floats:
    """Averaged over whole squares of pixels, so that neither side is longer than `side`."""
    step = -(-max(values.shape[:2]) // side)
    if step <= 1:
        return values
    rows, columns = (max(length // step, 1) * step for length in values.shape[:2])
    values = values[:rows, :columns]
    heights, widths = -(-values.shape[0] // step), -(-values.shape[1] // step)
    summed = np.add.reduceat(np.add.reduceat(values, np.arange(heights) * step, axis=0), np.arange(widths) * step, 1)
    count = min(step, values.shape[0]) * min(step, values.shape[1])
    shrunk: Floats = (summed / np.float32(count)).astype(np.float32)
    return shrunk
