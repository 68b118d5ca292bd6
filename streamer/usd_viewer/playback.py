"""The time line of one stage: playing, standing still, going to a time. Pure."""

from streamer.usd_viewer.scene import Timeline

TOLD_EVERY_S = 0.25
"""How often viewers are told the time while it runs."""


class Playback:
    """Starts at the beginning, playing; it plays over and over."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.playing = True
        self._at_s = 0.0
        self._since_told_s = 0.0

    @property
    def moves(self) -> bool:
        """Whether there is more than one picture."""
        return self._timeline.frames > 1

    @property
    def duration_s(self) -> float:
        """How long it plays until it begins anew; 0 for a still."""
        return self._timeline.frames / self._timeline.frames_per_second if self.moves else 0.0

    @property
    def frame(self) -> int:
        """The picture that is to be seen now."""
        # The smallest part of a frame more, so that the time of a frame is that frame and not the one before.
        return int(self._at_s * self._timeline.frames_per_second + 1e-6) % self._timeline.frames

    @property
    def time_s(self) -> float:
        """The time of that picture."""
        return self._at_s

    def advance(self, seconds: float) -> bool:
        """Time goes by: True when viewers should be told where it stands."""
        if not self.playing or not self.moves:
            return False
        self._at_s = (self._at_s + max(seconds, 0.0)) % self.duration_s
        self._since_told_s += seconds
        if self._since_told_s < TOLD_EVERY_S:
            return False
        self._since_told_s = 0.0
        return True

    def go_to(self, seconds: float) -> None:
        """Show the picture of this time; beyond the end, the last."""
        last = (self._timeline.frames - 1) / self._timeline.frames_per_second
        self._at_s = min(max(seconds, 0.0), last) if self.moves else 0.0

    def set(self, playing: bool | None, time_s: float | None) -> None:
        """Play or stop, go to a time; None leaves as it is."""
        self.playing = self.playing if playing is None else playing
        if time_s is not None:
            self.go_to(time_s)

    def step(self, frames: int) -> None:
        """Stop, and go on or back by whole frames, around the ends."""
        self.playing = False
        self._at_s = (self.frame + frames) % self._timeline.frames / self._timeline.frames_per_second

    def describe(self) -> dict[str, bool | int | float]:
        """As `timelineChanged` tells it."""
        return {
            "playing": self.playing and self.moves,
            "time": round(self.time_s, 6),
            "duration": round(self.duration_s, 6),
            "frame": self.frame,
            "frames": self._timeline.frames,
            "frames_per_second": self._timeline.frames_per_second,
        }
