"""Any program of the X Window System: `python examples/x11_window.py xterm`. Needs Debian's xvfb."""

import os
import subprocess
import sys
from collections.abc import Mapping

import mss
import numpy as np
from Xlib import XK, X, display
from Xlib.ext import xtest

import streamer
from streamer.input import InputEvent, Key, PointerButton, PointerMove

KEYS = {"Enter": "Return", "Backspace": "BackSpace", " ": "space", "ArrowLeft": "Left", "ArrowRight": "Right"}


class Window:
    """An X server of its own whose screen is the picture; input comes in by its XTEST extension."""

    def start(self, arguments: Mapping[str, str], outbox: streamer.Outbox) -> None:
        told, tell = os.pipe()
        screen = ["Xvfb", "-displayfd", str(tell), "-screen", "0", "1280x720x24", "-nolisten", "tcp"]
        self.server = subprocess.Popen(screen, pass_fds=[tell], stderr=subprocess.DEVNULL)
        os.close(tell)
        with os.fdopen(told) as number:
            name = f":{number.readline().strip()}"
        self.program = subprocess.Popen(
            sys.argv[1:] or ["xeyes", "-geometry", "1280x720"], env=os.environ | {"DISPLAY": name}
        )
        self.display = display.Display(name)
        self.camera = mss.mss(display=name, with_cursor=True)

    def render(self, video: streamer.VideoFormat, at_s: float) -> streamer.Frame:
        return np.asarray(self.camera.grab(self.camera.monitors[0]))[..., 2::-1]

    def on_input(self, event: InputEvent) -> None:
        if isinstance(event, PointerMove | PointerButton):
            xtest.fake_input(self.display, X.MotionNotify, x=int(event.x * 1279), y=int(event.y * 719))
        if isinstance(event, PointerButton):
            xtest.fake_input(self.display, X.ButtonPress if event.down else X.ButtonRelease, event.button + 1)
        elif isinstance(event, Key) and (symbol := XK.string_to_keysym(KEYS.get(event.key, event.key))):
            code = self.display.keysym_to_keycode(symbol)
            xtest.fake_input(self.display, X.KeyPress if event.down else X.KeyRelease, code)
        self.display.sync()

    def on_message(self, event_type: str, payload: Mapping[str, object]) -> None:
        pass

    def stop(self) -> None:
        for process in (self.program, self.server):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    streamer.run(Window())
