"""Asks EGL, before VTK does, what can draw here: VTK crashes the process where nothing can."""

import ctypes
from collections.abc import Callable
from typing import cast

_PLATFORM_DEVICE = 0x313F
_EXTENSIONS = 0x3055
_SOFTWARE = b"EGL_MESA_device_software"
_MAX_DEVICES = 16
MEND = "apt-get install libegl1 libgl1-mesa-dri"


class NoGraphics(Exception):
    """No OpenGL on this machine; its text says what to install."""


def require_egl() -> int:
    """The number of the EGL device to draw with: the first graphics card that works, else what draws in software.

    NoGraphics where EGL, or a driver for any device, is missing.
    """
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError as error:
        raise NoGraphics(f"libEGL.so.1 is missing; install it: {MEND}") from error
    working = _working_devices(egl)
    if not working:
        raise NoGraphics(f"EGL has no driver here; install one: {MEND}")
    return min(working, key=lambda number: (working[number], number))


def _working_devices(egl: ctypes.CDLL) -> dict[int, bool]:
    """The devices that can be initialized, and whether they draw in software."""
    pointer = ctypes.c_void_p
    query = _extension(egl, "eglQueryDevicesEXT", ctypes.c_int, ctypes.c_int, pointer, pointer)
    get_display = _extension(egl, "eglGetPlatformDisplayEXT", pointer, ctypes.c_uint, pointer, pointer)
    if query is None or get_display is None:
        return {}
    devices, count = (pointer * _MAX_DEVICES)(), ctypes.c_int(0)
    if not query(_MAX_DEVICES, ctypes.byref(devices), ctypes.byref(count)):
        return {}
    working = {}
    for number in range(min(count.value, _MAX_DEVICES)):
        display = get_display(_PLATFORM_DEVICE, devices[number], None)
        if display and egl.eglInitialize(pointer(display), None, None):
            working[number] = _is_software(egl, devices[number])
    return working


def _is_software(egl: ctypes.CDLL, device: int | None) -> bool:
    describe = _extension(egl, "eglQueryDeviceStringEXT", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    extensions = describe(device, _EXTENSIONS) if describe else None
    return bool(extensions) and _SOFTWARE in ctypes.string_at(extensions or 0)


def _extension(egl: ctypes.CDLL, name: str, *signature: type) -> Callable[..., int | None] | None:
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(name.encode())
    if not address:
        return None
    return cast(Callable[..., int | None], ctypes.CFUNCTYPE(*signature)(address))
