"""Asks EGL, before VTK does, whether it can draw here: VTK crashes the process where it cannot."""

import ctypes
from collections.abc import Callable
from typing import cast

_PLATFORM_DEVICE = 0x313F
_MAX_DEVICES = 16
MEND = "apt-get install libegl1 libgl1-mesa-dri"


class NoGraphics(Exception):
    """No OpenGL on this machine; its text says what to install."""


def require_egl() -> None:
    """NoGraphics where EGL, or a driver for its first device, is missing."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError as error:
        raise NoGraphics(f"libEGL.so.1 is missing; install it: {MEND}") from error
    if not _first_device_works(egl):
        raise NoGraphics(f"EGL has no driver here; install one: {MEND}")


def _first_device_works(egl: ctypes.CDLL) -> bool:
    pointer = ctypes.c_void_p
    query = _extension(egl, "eglQueryDevicesEXT", ctypes.c_int, ctypes.c_int, pointer, pointer)
    get_display = _extension(egl, "eglGetPlatformDisplayEXT", pointer, ctypes.c_uint, pointer, pointer)
    if query is None or get_display is None:
        return False
    devices, count = (pointer * _MAX_DEVICES)(), ctypes.c_int(0)
    if not query(_MAX_DEVICES, ctypes.byref(devices), ctypes.byref(count)) or count.value < 1:
        return False
    display = get_display(_PLATFORM_DEVICE, devices[0], None)
    return bool(display) and bool(egl.eglInitialize(pointer(display), None, None))


def _extension(egl: ctypes.CDLL, name: str, *signature: type) -> Callable[..., int | None] | None:
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(name.encode())
    if not address:
        return None
    return cast(Callable[..., int | None], ctypes.CFUNCTYPE(*signature)(address))
