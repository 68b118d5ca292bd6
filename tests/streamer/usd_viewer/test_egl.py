"""Where nothing can be drawn, the process says what to install; it does not crash."""

import ctypes

import pytest

from streamer.usd_viewer.egl import MEND, NoGraphics, require_egl


def test_this_machine_can_draw() -> None:
    require_egl()


def test_a_missing_library_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    with pytest.raises(NoGraphics, match=r"libEGL\.so\.1") as refused:
        require_egl()
    assert MEND in str(refused.value)


@pytest.mark.parametrize("missing", ["eglQueryDevicesEXT", "eglGetPlatformDisplayEXT", ""])
def test_egl_without_a_driver_is_told(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    functions = {
        "eglQueryDevicesEXT": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
            lambda most, devices, count: 0
        ),
        "eglGetPlatformDisplayEXT": ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(
            lambda platform, device, attributes: None
        ),
    }

    class Library:
        """An EGL that has no devices."""

        def __init__(self, name: str) -> None:
            class Lookup:
                restype = None

                def __call__(self, name: bytes) -> int | None:
                    wanted = name.decode()
                    return None if wanted == missing else ctypes.cast(functions[wanted], ctypes.c_void_p).value

            self.eglGetProcAddress = Lookup()

    monkeypatch.setattr(ctypes, "CDLL", Library)
    with pytest.raises(NoGraphics, match="no driver"):
        require_egl()
