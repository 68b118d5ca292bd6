"""Frames as applications have them, brought to the host's memory: NumPy arrays, GPU buffers, FFmpeg's frames.

What each costs is in docs/streaming-backend.md, "GPU frames".
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt

MIN_SIDE_PX = 16
_CHANNELS = (3, 4)
_RGB = "|u1"
_CUDA_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

Pixels = npt.NDArray[np.uint8]


class CopyToHost(Protocol):
    """Copies bytes of device memory to the host, after what `stream` has still to do."""

    def __call__(self, pointer: int, size_bytes: int, stream: int | None) -> bytearray:
        """The bytes. Raises OSError with the driver's words."""


def to_host(frame: object, copy: CopyToHost | None = None) -> Pixels | av.VideoFrame:
    """The frame where the CPU can read it. Raises ValueError, saying what a frame is, for what is none."""
    if isinstance(frame, av.VideoFrame):
        picture: Pixels | av.VideoFrame = frame
        fits = _sides_fit(frame.height, frame.width)
    else:
        array = _array_of(frame, copy or _copy_from_cuda)
        fits = array is not None and _is_picture(array)
        picture = np.empty(0, dtype=np.uint8) if array is None else array
    if not fits:
        raise ValueError(
            "a frame is a NumPy array of uint8 and shape (height, width, 3) or (height, width, 4), a CUDA or DLPack "
            f"buffer of that shape, or an av.VideoFrame; height and width are even and at least {MIN_SIDE_PX}; "
            f"this one is {_describe(frame)}"
        )
    return picture


def _array_of(frame: object, copy: CopyToHost) -> Pixels | None:
    if isinstance(frame, np.ndarray):
        return frame
    interface = getattr(frame, "__cuda_array_interface__", None)
    if isinstance(interface, Mapping):
        return _from_cuda(interface, copy)
    if hasattr(frame, "__dlpack__"):
        return np.asarray(_from_dlpack(frame))
    return None


def _is_picture(array: Pixels) -> bool:
    return (
        array.dtype == np.uint8
        and array.ndim == 3
        and array.shape[2] in _CHANNELS
        and _sides_fit(array.shape[0], array.shape[1])
    )


def _sides_fit(height: int, width: int) -> bool:
    return min(height, width) >= MIN_SIDE_PX and height % 2 == 0 and width % 2 == 0


def _from_cuda(interface: Mapping[str, object], copy: CopyToHost) -> Pixels | None:
    """One copy, rows and their padding together; the rows must lie one after the other, upwards in memory."""
    shape, data, strides = interface.get("shape"), interface.get("data"), interface.get("strides")
    if not isinstance(shape, tuple) or not isinstance(data, tuple) or interface.get("typestr") != _RGB:
        return None
    if len(shape) != 3 or shape[2] not in _CHANNELS:
        return None
    height, width, channels = (int(length) for length in shape)
    row = int(strides[0]) if isinstance(strides, tuple) else width * channels
    if row < width * channels or (isinstance(strides, tuple) and tuple(strides[1:]) != (channels, 1)):
        raise ValueError("a CUDA frame's pixels must lie one after the other, and its rows from top to bottom")
    stream = interface.get("stream")
    size = row * (height - 1) + width * channels
    pixels = copy(int(data[0]), size, stream if isinstance(stream, int) else None)
    return np.lib.stride_tricks.as_strided(
        np.frombuffer(pixels, dtype=np.uint8), shape=(height, width, channels), strides=(row, channels, 1)
    )


def _from_dlpack(frame: object) -> npt.NDArray[np.generic]:
    """Its maker copies device memory to the host, if it knows how to (DLPack 1.0)."""
    try:
        return np.from_dlpack(frame, device="cpu")  # type: ignore[arg-type]
    except (BufferError, RuntimeError, TypeError) as error:
        raise ValueError(f"the DLPack frame cannot be copied to the host: {error}") from error


@cache
def _cuda() -> ctypes.CDLL:
    return ctypes.CDLL(_CUDA_LIBRARY)


def _copy_from_cuda(pointer: int, size_bytes: int, stream: int | None) -> bytearray:
    """By the driver, in the context that is current in this thread: the application's own."""
    cuda, pixels = _cuda(), bytearray(size_bytes)
    target = (ctypes.c_char * size_bytes).from_buffer(pixels)
    if stream:
        _check("cuStreamSynchronize", cuda.cuStreamSynchronize(ctypes.c_void_p(stream)))
    copied = cuda.cuMemcpyDtoH_v2(target, ctypes.c_uint64(pointer), ctypes.c_size_t(size_bytes))
    _check("cuMemcpyDtoH", copied)
    return pixels


def _check(call: str, status: int) -> None:
    if status != 0:
        raise OSError(f"{call} failed with status {status} (CUresult of cuda.h)")


def _describe(frame: object) -> str:
    if isinstance(frame, np.ndarray):
        return f"{frame.dtype} {frame.shape}"
    if isinstance(frame, av.VideoFrame):
        return f"{frame.width} x {frame.height} {frame.format.name}"
    return type(frame).__name__
