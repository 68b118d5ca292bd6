"""Image files of a stage as pixels: decoded by format, never by sniffing, and scaled to a bounded size."""

import io
from pathlib import Path, PurePosixPath

import av
import numpy as np
from av.error import FFmpegError
from pxr import Ar

from streamer.usd_viewer.scene import Bytes, Texture
from streamer.usd_viewer.stage_policy import StagePolicy, StageRefused

MAX_FILE_BYTES = 128 * 1024 * 1024
MAX_SIDE = 1024
_DEMUXERS = {
    ".png": "png_pipe",
    ".jpg": "jpeg_pipe",
    ".jpeg": "jpeg_pipe",
    ".bmp": "bmp_pipe",
    ".tif": "tiff_pipe",
    ".tiff": "tiff_pipe",
    ".webp": "webp_pipe",
}


class BadTexture(Exception):
    """An image that cannot be used; its text says why."""


def read_texture(asset: str, policy: StagePolicy, *, repeat: bool) -> Texture:
    """Decode the image at a resolved path, which may lie inside a package. BadTexture where that fails."""
    file = Ar.SplitPackageRelativePathOuter(asset)[0]
    try:
        policy.inside(Path(file), PurePosixPath(file).name)
    except StageRefused as error:
        raise BadTexture(error.reason) from error
    inner = asset.removesuffix("]")
    demuxer = _DEMUXERS.get(PurePosixPath(inner).suffix.lower())
    if demuxer is None:
        raise BadTexture("its format is not one of " + " ".join(sorted(_DEMUXERS)))
    return Texture(_decode(_content(asset), demuxer), repeat)


def _content(asset: str) -> bytes:
    opened = Ar.GetResolver().OpenAsset(Ar.ResolvedPath(asset))
    if not opened:
        raise BadTexture("it cannot be read")
    with opened as content:
        if content.GetSize() > MAX_FILE_BYTES:
            raise BadTexture(f"it is larger than {MAX_FILE_BYTES} bytes")
        return bytes(content.GetBuffer())


def _decode(content: bytes, demuxer: str) -> Bytes:
    try:
        with av.open(io.BytesIO(content), mode="r", format=demuxer) as container:
            frame = next(container.decode(video=0))
            shrink = max(frame.width, frame.height, 1) / MAX_SIDE
            width, height = (max(1, round(side / max(shrink, 1.0))) for side in (frame.width, frame.height))
            picture = frame.reformat(width=width, height=height, format="rgba")
            return np.ascontiguousarray(picture.to_ndarray())
    except (FFmpegError, StopIteration, ValueError, IndexError) as error:
        raise BadTexture("it cannot be decoded") from error
