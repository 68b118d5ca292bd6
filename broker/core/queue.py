"""Who waits for a slot, in which order they get one, and how long that takes, as measured.

Shares take turns: each time a slot is free, the share whose turn it is gets it for the one of its sessions that came
first, and goes to the end of the round. So nobody waits longer for a first slot than one round of the others' turns,
however many of their sessions wait.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

_MEASURED = 16
"""So many of the last waits are what an estimate is made of."""


_Arrival = tuple[float, int, str]
"""When it came; of those who came at the same time, the how-manieth; who."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session stands: 1 is next. `eta_s` is None where nothing was measured yet."""

    position: int
    eta_s: float | None
    length: int


class FairQueue:
    """Sessions that wait for the same slots. Every call costs at most the number of shares, most of them less."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, list[_Arrival]] = OrderedDict()
        self._known: dict[str, tuple[str, _Arrival]] = {}
        self._joined = 0
        self._order: Mapping[str, int] | None = None

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._known

    @property
    def head(self) -> str | None:
        """Who is next."""
        return next((line[0][2] for line in self._lines.values()), None)

    def join(self, session_id: str, share: str, since: float) -> None:
        """Wait, behind those of the same share who came before. Who waits already stays where it is."""
        if session_id not in self._known:
            self._joined += 1
            arrival = since, self._joined, session_id
            self._known[session_id] = share, arrival
            insort(self._lines.setdefault(share, []), arrival)
            self._order = None

    def leave(self, session_id: str) -> None:
        """Wait no more, without having been served. The share keeps its turn."""
        if session_id not in self._known:
            return
        share, arrival = self._known.pop(session_id)
        line = self._lines[share]
        del line[bisect_left(line, arrival)]
        if not line:
            del self._lines[share]
        self._order = None

    def serve(self, session_id: str) -> None:
        """Wait no more: it got a slot, which was its share's turn."""
        if session_id in self._known:
            share, _ = self._known[session_id]
            self.leave(session_id)
            if share in self._lines:
                self._lines.move_to_end(share)

    def position(self, session_id: str) -> int:
        """Its place in the order of service, from 1. Raises KeyError for one that does not wait."""
        if self._order is not None:
            return self._order[session_id]
        own, arrival = self._known[session_id]
        rank = bisect_left(self._lines[own], arrival)
        before, turns = 0, rank + 1
        for share, line in self._lines.items():
            if share == own:
                before, turns = before + rank, rank
            else:
                before += min(len(line), turns)
        return before + 1

    def positions(self) -> Mapping[str, int]:
        """Every place at once, in the order of service."""
        if self._order is None:
            order: dict[str, int] = {}
            lines, turn = list(self._lines.values()), 0
            while lines:
                for line in lines:
                    order[line[turn][2]] = len(order) + 1
                turn += 1
                lines = [line for line in lines if len(line) > turn]
            self._order = order
        return self._order


class Pace:
    """How fast slots became free while somebody waited for them."""

    def __init__(self) -> None:
        self._waits_s: deque[float] = deque(maxlen=_MEASURED)
        self._since: float | None = None

    def someone_waits(self, now: float) -> None:
        """The measure runs from now on, unless it runs already."""
        if self._since is None:
            self._since = now

    def nobody_waits(self) -> None:
        """The measure rests."""
        self._since = None

    def served(self, now: float) -> None:
        """A slot became free and was given to one who waited."""
        if self._since is not None:
            self._waits_s.append(max(now - self._since, 0.0))
            self._since = now

    def estimate_s(self, position: int, now: float) -> float | None:
        """How long this position waits, if slots become free as they did; None before the first measure."""
        if not self._waits_s:
            return None
        passed_s = 0.0 if self._since is None else max(now - self._since, 0.0)
        usual_s = sum(self._waits_s) / len(self._waits_s)
        if passed_s <= usual_s:
            return usual_s * position - passed_s
        return (sum(self._waits_s) + passed_s) / (len(self._waits_s) + 1) * position
