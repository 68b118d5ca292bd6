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


class Devices:
    """An EGL with these devices: whether each works, and what it says of itself."""

    def __init__(self, *devices: tuple[bool, bytes]) -> None:
        self.devices = devices
        self.texts = [ctypes.create_string_buffer(text) for _, text in devices]
        pointer = ctypes.c_void_p
        self.functions = {
            "eglQueryDevicesEXT": ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, pointer, pointer)(self.query),
            "eglGetPlatformDisplayEXT": ctypes.CFUNCTYPE(pointer, ctypes.c_uint, pointer, pointer)(
                lambda platform, device, attributes: device + 100
            ),
            "eglQueryDeviceStringEXT": ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_int)(
                lambda device, name: ctypes.addressof(self.texts[device - 1])
            ),
        }
        functions = self.functions

        class Lookup:
            restype = None

            def __call__(self, name: bytes) -> int | None:
                return ctypes.cast(functions[name.decode()], ctypes.c_void_p).value

        self.eglGetProcAddress = Lookup()

    def query(self, most: int, found: int, count: int) -> int:
        place = ctypes.cast(found, ctypes.POINTER(ctypes.c_void_p))
        for number in range(len(self.devices)):
            place[number] = number + 1
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = len(self.devices)
        return 1

    def eglInitialize(self, display: ctypes.c_void_p, major: None, minor: None) -> int:
        return int(self.devices[(display.value or 0) - 101][0])


CARD, SOFTWARE = b"EGL_NV_device_cuda EGL_EXT_device_drm", b"EGL_MESA_device_software"


@pytest.mark.parametrize(
    ("devices", "chosen"),
    [
        (((True, CARD), (True, SOFTWARE)), 0),
        (((True, SOFTWARE), (True, CARD)), 1),
        (((False, CARD), (True, SOFTWARE)), 1),
        (((False, CARD), (True, CARD), (True, CARD)), 1),
        (((False, SOFTWARE), (True, SOFTWARE)), 1),
    ],
)
def test_the_first_card_that_works_is_taken_before_software(
    monkeypatch: pytest.MonkeyPatch, devices: tuple[tuple[bool, bytes], ...], chosen: int
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Devices(*devices))
    assert require_egl() == chosen


def test_cards_of_which_none_works_are_no_graphics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Devices((False, CARD), (False, SOFTWARE)))
    with pytest.raises(NoGraphics, match="no driver"):
        require_egl()
