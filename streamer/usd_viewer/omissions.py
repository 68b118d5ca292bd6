"""What a stage holds and the picture does not: counted by kind, each with a prim as an example."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pxr import Usd

from streamer.usd_viewer.stage_policy import shorten

MAX_TOLD = 20


@dataclass(slots=True)
class Omissions:
    """Collects while a stage is read."""

    _counts: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, prim: Usd.Prim | None = None, *, count: int = 1) -> None:
        """One more of a kind; what needs no example tells all by itself."""
        self._counts[what] = self._counts.get(what, 0) + count
        if prim is not None:
            self._examples.setdefault(what, shorten(str(prim.GetPath())))

    def told(self) -> tuple[str, ...]:
        """A line for each kind, the most frequent first; beyond MAX_TOLD kinds only their number."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        ordered = sorted(self._counts.items(), key=lambda item: -item[1])
        for what, count in ordered[:MAX_TOLD]:
            example = self._examples.get(what)
            if example is not None:
                yield f"{what}: {example}" if count == 1 else f"{what}: {count}, such as {example}"
            else:
                yield what if count == 1 else f"{what}: {count}"
        if len(ordered) > MAX_TOLD:
            yield f"and {len(ordered) - MAX_TOLD} more kinds"
