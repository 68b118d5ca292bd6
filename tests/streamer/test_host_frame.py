"""Frames from wherever an application has them."""

import ctypes
import fractions

import av
import numpy as np
import numpy.typing as npt
import pytest

from streamer.frames import to_planes
from streamer.host_frame import to_host

Pixels = npt.NDArray[np.uint8]


def picture(channels: int = 3) -> Pixels:
    return np.random.default_rng(1).integers(0, 255, (48, 64, channels), dtype=np.uint8)


class OnGpu:
    """What CuPy's and PyTorch's arrays say of themselves; this one's memory is the host's."""

    def __init__(self, pixels: Pixels, **changes: object) -> None:
        self._pixels = pixels
        strides = None if pixels.flags.c_contiguous else pixels.strides
        self.interface: dict[str, object] = {
            "shape": pixels.shape,
            "typestr": "|u1",
            "data": (pixels.ctypes.data, False),
            "strides": strides,
            "version": 3,
        } | changes

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self.interface


class Copier:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []

    def __call__(self, pointer: int, size_bytes: int, stream: int | None) -> bytearray:
        self.calls.append((size_bytes, stream))
        return bytearray(ctypes.string_at(pointer, size_bytes))


class Tensor:
    """A DLPack maker that has its memory on the host, or refuses to bring it there."""

    def __init__(self, pixels: Pixels, *, refuses: bool = False) -> None:
        self._pixels = pixels
        self._refuses = refuses

    def __dlpack__(self, **wishes: object) -> object:
        if self._refuses:
            raise BufferError("the device is gone")
        return self._pixels.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize("channels", [3, 4])
def test_cuda_buffers_are_copied_once(channels: int) -> None:
    pixels, copier = picture(channels), Copier()
    host = to_host(OnGpu(pixels, stream=7), copier)
    assert isinstance(host, np.ndarray)
    assert np.array_equal(host, pixels)
    assert copier.calls == [(pixels.nbytes, 7)]


def test_cuda_buffer_with_padded_rows_is_copied_with_its_padding() -> None:
    padded = np.zeros((48, 80, 4), dtype=np.uint8)
    window = padded[:, :64]
    window[:] = picture(4)
    copier = Copier()
    host = to_host(OnGpu(window), copier)
    assert isinstance(host, np.ndarray)
    assert np.array_equal(host, window)
    assert copier.calls == [(80 * 4 * 47 + 64 * 4, None)]


@pytest.mark.parametrize(
    "changes",
    [
        {"typestr": "<f4"},
        {"shape": (48, 64)},
        {"shape": (48, 64, 2)},
        {"shape": (47, 64, 3)},
        {"shape": None},
        {"data": None},
        {"strides": (-192, 3, 1)},
        {"strides": (192, 1, 64)},
    ],
)
def test_cuda_buffer_that_is_no_picture_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a frame is a NumPy array|a CUDA frame's pixels"):
        to_host(OnGpu(picture(), **changes), Copier())


def test_cuda_buffer_without_a_driver_says_so() -> None:
    with pytest.raises(OSError, match="cuda"):
        to_host(OnGpu(picture()))


def test_dlpack_buffers_are_taken() -> None:
    pixels = picture(4)
    host = to_host(Tensor(pixels))
    assert isinstance(host, np.ndarray)
    assert np.array_equal(host, pixels)


def test_dlpack_buffer_that_cannot_be_copied_says_why() -> None:
    with pytest.raises(ValueError, match="the device is gone"):
        to_host(Tensor(picture(), refuses=True))


@pytest.mark.parametrize("format_", ["yuv420p", "nv12", "rgb24", "bgra"])
def test_ffmpegs_frames_keep_their_colours(format_: str) -> None:
    grey_red = np.zeros((48, 64, 3), dtype=np.uint8)
    grey_red[:, :32], grey_red[:, 32:] = (128, 128, 128), (200, 40, 40)
    frame = av.VideoFrame.from_ndarray(grey_red, format="rgb24").reformat(format=format_)
    frame.time_base = fractions.Fraction(1, 30)
    planes = to_planes(to_host(frame))
    assert planes.shape == (72, 64)
    back = av.VideoFrame.from_ndarray(planes, format="yuv420p").to_ndarray(format="rgb24").astype(int)
    assert np.abs(back[24, 8] - (128, 128, 128)).max() <= 4
    assert np.abs(back[24, 56] - (200, 40, 40)).max() <= 6


@pytest.mark.parametrize(
    "frame",
    [
        None,
        "frame",
        np.zeros((48, 64, 2), dtype=np.uint8),
        np.zeros((48, 64), dtype=np.uint8),
        np.zeros((48, 64, 3), dtype=np.float32),
        np.zeros((47, 64, 3), dtype=np.uint8),
        np.zeros((48, 63, 3), dtype=np.uint8),
        np.zeros((0, 0, 3), dtype=np.uint8),
        np.zeros((14, 64, 3), dtype=np.uint8),
        av.VideoFrame(15, 48, "yuv420p"),
    ],
)
def test_what_is_no_frame_is_refused_with_what_one_is(frame: object) -> None:
    with pytest.raises(ValueError, match="a frame is a NumPy array of uint8 and shape"):
        to_host(frame)
