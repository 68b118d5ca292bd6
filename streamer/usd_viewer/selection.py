"""Which prims are selected, and which a click may select. Pure."""

from collections.abc import Iterable

MAX_PICKABLE = 100_000


class TooManyPrims(ValueError):
    """More pickable prims than are kept; the text gives the bound."""


class Selection:
    """Of one stage. Until `make_pickable` names prims, a click selects whatever it hits."""

    def __init__(self) -> None:
        self.paths: tuple[str, ...] = ()
        self._pickable: set[str] = set()

    def choose(self, paths: Iterable[str]) -> None:
        """Select these prims and no others."""
        self.paths = tuple(dict.fromkeys(paths))

    def make_pickable(self, paths: Iterable[str]) -> None:
        """Let clicks select these prims too, and from now on only what was named. Raises TooManyPrims."""
        more = self._pickable.union(paths)
        if len(more) > MAX_PICKABLE:
            raise TooManyPrims(f"no more than {MAX_PICKABLE} prims can be made pickable")
        self._pickable = more

    def click(self, hit: str | None, *, toggle: bool) -> bool:
        """A click hit a prim, or nothing: True when the selection changed.

        Args:
            toggle: adds the prim to the others, or takes it away, instead of selecting it alone.
        """
        target = None if hit is None else self._pickable_at(hit)
        before = self.paths
        if not toggle:
            self.paths = () if target is None else (target,)
        elif target is not None:
            self.paths = tuple(path for path in before if path != target) if target in before else (*before, target)
        return self.paths != before

    def _pickable_at(self, path: str) -> str | None:
        """The prim itself or the nearest above it that may be picked."""
        if not self._pickable:
            return path
        while path and path not in self._pickable:
            path = path.rpartition("/")[0]
        return path or None
