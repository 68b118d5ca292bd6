"""What a viewer's mouse, wheel and keys do to the camera. Pure: events in, camera out."""

import math
from collections.abc import Sequence
from dataclasses import replace

from streamer.input import InputEvent, Key, Modifiers, PointerButton, PointerMove, Wheel
from streamer.usd_viewer.camera import (
    ORBIT_PER_PICTURE,
    Bounds,
    Camera,
    UpAxis,
    Vector,
    dot,
    frame,
    orbit,
    pan,
    subtract,
    zoom,
)
from streamer.usd_viewer.scene import Scene, StageCamera

LEFT, RIGHT, MIDDLE = 1, 2, 4
_WHEEL_FACTOR, _WHEEL_MOST_PX = 0.0012, 600.0
_DRAG_ZOOM = 3.0
_KEY_STEP = 0.05
TURN_S = 24.0
"""How long a turntable takes for one turn."""
_ARROWS = {"ArrowLeft": (-1.0, 0.0), "ArrowRight": (1.0, 0.0), "ArrowUp": (0.0, -1.0), "ArrowDown": (0.0, 1.0)}


class Navigator:
    """Holds the camera of one scene.

    Left drag orbits, middle or shift drag pans, right or control drag and the wheel zoom; `a` and Home show all,
    `r` goes back to the first view, `c` to the stage's next camera, arrows orbit (with shift pan), `+` and `-` zoom.
    """

    def __init__(
        self, bounds: Bounds, up_axis: UpAxis, *, outline: Sequence[Vector] = (), cameras: Sequence[StageCamera] = ()
    ) -> None:
        self._bounds = bounds
        self._outline = outline or tuple(bounds.corners())
        self._cameras = cameras
        self._next_camera = 0
        self._through: tuple[StageCamera, Camera] | None = None
        self._pointer: tuple[float, float] | None = None
        self._held = False
        self._aspect = 0.0
        self._untouched = True
        self.camera = Camera(up_axis=up_axis)

    @classmethod
    def of(cls, scene: Scene) -> "Navigator":
        """The navigator of a scene, at its first view."""
        outline = [(x, y, z) for x, y, z in scene.outline.tolist()]
        return cls(scene.bounds, scene.up_axis, outline=outline, cameras=scene.cameras)

    def set_aspect(self, aspect: float) -> None:
        """Tell the picture's width over height; the first view, or a camera's, follows it until it is changed."""
        changed, self._aspect = aspect != self._aspect, aspect
        if changed and self._untouched:
            self.reset()
        elif changed and self._through is not None and self._through[1] == self.camera:
            self._look_through(self._through[0])

    def reset(self) -> None:
        """Go back to the first view: the stage's first camera's, else all, three quarters from the front."""
        self.camera = Camera(up_axis=self.camera.up_axis)
        if self._cameras:
            self._look_through(self._cameras[0])
            self._next_camera = 1 % len(self._cameras)
        else:
            self.frame_all()
        self._untouched = True

    def frame_all(self) -> None:
        """Show all from the present direction."""
        self.camera = frame(self.camera, self._outline, self._bounds.radius, self._aspect or 16 / 9)

    def frame_box(self, bounds: Bounds) -> None:
        """Show this box from the present direction."""
        self.camera = frame(self.camera, tuple(bounds.corners()), bounds.radius, self._aspect or 16 / 9)
        self._untouched = False

    def turn(self, seconds: float) -> None:
        """Go on around the target, as a turntable does; a hand that drags holds it."""
        if not self._held:
            turned = math.tau / TURN_S * seconds / ORBIT_PER_PICTURE
            self.camera = orbit(self.camera, -turned, 0.0)
            self._untouched = False

    def handle(self, event: InputEvent) -> None:
        """Do what an event asks for."""
        before = self.camera
        match event:
            case PointerMove():
                self._held = bool(event.buttons)
                self._drag(event)
            case PointerButton():
                self._held = bool(event.buttons)
                self._pointer = (event.x, event.y)
            case Wheel():
                turned = min(max(event.dy, -_WHEEL_MOST_PX), _WHEEL_MOST_PX)
                x, y = self._from_middle(event.x, event.y)
                self.camera = zoom(self.camera, math.exp(turned * _WHEEL_FACTOR), x, y)
            case Key(down=True):
                self._press(event)
            case _:
                self._pointer, self._held = None, False
        self._untouched = self._untouched and self.camera == before

    def _drag(self, event: PointerMove) -> None:
        last, self._pointer = self._pointer, (event.x, event.y)
        if last is None or not event.buttons:
            return
        dx, dy = (event.x - last[0]) * self._aspect, event.y - last[1]
        if event.buttons & MIDDLE or event.modifiers & Modifiers.SHIFT:
            self.camera = pan(self.camera, dx, dy)
        elif event.buttons & RIGHT or event.modifiers & Modifiers.CONTROL:
            self.camera = zoom(self.camera, math.exp(dy * _DRAG_ZOOM))
        elif event.buttons & LEFT:
            self.camera = orbit(self.camera, dx, dy)

    def _press(self, event: Key) -> None:
        if event.modifiers & (Modifiers.CONTROL | Modifiers.ALT | Modifiers.META):
            return
        if event.key in _ARROWS:
            dx, dy = (part * _KEY_STEP for part in _ARROWS[event.key])
            move = pan if event.modifiers & Modifiers.SHIFT else orbit
            self.camera = move(self.camera, dx, dy)
        match event.key:
            case "a" | "A" | "Home":
                self.frame_all()
            case "r" | "R":
                self.reset()
            case "c" | "C" if self._cameras:
                self._look_through(self._cameras[self._next_camera])
                self._next_camera = (self._next_camera + 1) % len(self._cameras)
            case "+" | "=":
                self.camera = zoom(self.camera, 1.0 - 2 * _KEY_STEP)
            case "-" | "_":
                self.camera = zoom(self.camera, 1.0 / (1.0 - 2 * _KEY_STEP))

    def _from_middle(self, x: float, y: float) -> tuple[float, float]:
        """A place in the picture in picture heights from its middle, right and up."""
        return ((x - 0.5) * self._aspect, 0.5 - y)

    def _look_through(self, camera: StageCamera) -> None:
        """Stand where a camera of the stage stands, and see at least what it sees."""
        level = Camera(up_axis=self.camera.up_axis, azimuth=0.0, elevation=0.0)
        forward = camera.forward
        rise = -dot(forward, level.world_up)
        radius = self._bounds.radius
        distance = max(dot(subtract(self._bounds.center, camera.eye), forward), radius * 0.1)
        x, y, z = (eye + part * distance for eye, part in zip(camera.eye, forward, strict=True))
        wider = max(camera.aspect / (self._aspect or 16 / 9), 1.0)
        upright = Camera(
            target=(x, y, z),
            distance=distance,
            azimuth=math.atan2(-dot(forward, level.right), -dot(forward, level.backward)),
            elevation=math.asin(min(max(rise, -1.0), 1.0)),
            up_axis=self.camera.up_axis,
            field_of_view=2.0 * math.atan(math.tan(camera.field_of_view / 2.0) * wider),
            reach=radius,
            clip=camera.clip,
        )
        roll = math.atan2(-dot(camera.up, upright.right), dot(camera.up, upright.up))
        self.camera = replace(upright, roll=roll if abs(roll) > 1e-6 else 0.0)
        self._through = (camera, self.camera)
