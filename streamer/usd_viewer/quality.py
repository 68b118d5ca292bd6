"""When a picture is worth its price: rough while things move, fine once they rest. Pure."""

from dataclasses import dataclass

SETTLE_S = 0.2
_SHARE = 0.5
"""Of a frame's time that a fine picture may take for everything to be drawn finely."""
_ROUGH_SHARE = 0.4
"""Of a frame's time that a rough picture may take before it is drawn with fewer pixels: others encode and relay."""
_COARSE_WORTH = 0.2
"""Of that room, what a picture of a quarter of the pixels may take for all of them to be drawn again."""
_MEMORY = 0.7


@dataclass(slots=True)
class Quality:
    """Decides for each frame whether it is drawn, and how."""

    _fine_s: float | None = None
    _changed_at_s: float = float("-inf")
    _last_is_fine: bool = False
    _rough_s: float | None = None
    _coarse: bool = False

    def wants(self, *, changed: bool, still_before: bool, at_s: float, fps: int) -> bool | None:
        """True to draw finely, False to draw roughly, None to leave the last picture.

        Args:
            changed: whether the picture differs from the last one.
            still_before: whether a change comes out of rest by itself, as a new scene does: it is worth a fine picture.
            at_s: now.
            fps: pictures a second that are asked for.
        """
        if changed:
            self._changed_at_s = at_s
            cheap = self._fine_s is not None and self._fine_s < _SHARE / fps
            self._last_is_fine = cheap or still_before
            return self._last_is_fine
        if not self._last_is_fine and at_s - self._changed_at_s >= SETTLE_S:
            self._last_is_fine = True
            return True
        return None

    @property
    def coarse(self) -> bool:
        """Whether what is drawn roughly is drawn with fewer pixels."""
        return self._coarse

    def took(self, seconds: float, *, fine: bool, fps: int = 30) -> None:
        """Note what the picture cost that was drawn last."""
        if fine:
            before = self._fine_s if self._fine_s is not None else seconds
            self._fine_s = _MEMORY * before + (1 - _MEMORY) * seconds
            return
        before = self._rough_s if self._rough_s is not None else seconds
        self._rough_s = _MEMORY * before + (1 - _MEMORY) * seconds
        room = _ROUGH_SHARE / fps
        turned = self._rough_s < room * _COARSE_WORTH if self._coarse else self._rough_s > room
        if turned:
            self._coarse, self._rough_s = not self._coarse, None
