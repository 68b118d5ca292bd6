"""When a picture is worth its price: rough while things move, fine once they rest. Pure."""

from dataclasses import dataclass

SETTLE_S = 0.2
_SHARE = 0.5
"""Of a frame's time that a fine picture may take for everything to be drawn finely."""
_MEMORY = 0.7


@dataclass(slots=True)
class Quality:
    """Decides for each frame whether it is drawn, and how."""

    _fine_s: float | None = None
    _changed_at_s: float = float("-inf")
    _last_is_fine: bool = False

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

    def took(self, seconds: float, *, fine: bool) -> None:
        """Note what a picture cost."""
        if fine:
            before = self._fine_s if self._fine_s is not None else seconds
            self._fine_s = _MEMORY * before + (1 - _MEMORY) * seconds
