"""Turns: work that is due, key by key, in the order in which it came; answers to callers go before it.

In a burst of requests the loop would be busy with all that follows from them, and whoever asks would wait for it. So
turns get a share of the loop's time while there is anything else to do, and all of it else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

_SHARE = 1 / 3
"""Of the loop's time, for turns, while more is wanted than there is."""

_FEWEST, _MOST = 4, 256
"""So many turns are begun between two looks at what else there is."""

_STEEPEST = 2.0
"""By this factor that number changes at most, from one look to the next."""


@dataclass(eq=False, slots=True)
class _Seat:
    """A key's place. `is_due`: its time has come, besides whatever woke it."""

    is_in_line: bool = False
    is_running: bool = False
    is_due: bool = False
    alarm: asyncio.TimerHandle | None = None

    def stop_alarm(self) -> None:
        """Sleep on until woken."""
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None


class Turns:
    """Calls `take(key, is_due)` for each key that was woken, or whose time has come: then `is_due` is true.

    It returns after how many seconds the key is due though nobody wakes it, or None: then the key is forgotten, unless
    it was woken meanwhile. Turns of one key never overlap. An error that `take` raises ends `run`.
    """

    def __init__(self, take: Callable[[str, bool], Awaitable[float | None]]) -> None:
        self._take = take
        self._seats: dict[str, _Seat] = {}
        self._line: deque[str] = deque()
        self._somebody = asyncio.Event()
        self._begun_at = 0.0

    def wake(self, key: str) -> None:
        """Give it a turn. A key that was not known is from now on."""
        self._queue(key, self._seats.setdefault(key, _Seat()))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            most, looked_at = _FEWEST, loop.time()
            while True:
                if not self._line:
                    self._somebody.clear()
                    await self._somebody.wait()
                    looked_at = loop.time()
                loop.call_soon(self._note_begin)
                for _ in range(min(most, len(self._line))):
                    key = self._line.popleft()
                    group.create_task(self._turn(key, self._seats[key]), name=f"turn of {key}")
                await asyncio.sleep(0)  # the turns begin, and what is done at once is done when this goes on
                now = loop.time()
                most = _adapted(most, others_s=self._begun_at - looked_at, turns_s=now - self._begun_at)
                looked_at = now

    def _note_begin(self) -> None:
        self._begun_at = asyncio.get_running_loop().time()

    def _queue(self, key: str, seat: _Seat, *, is_due: bool = False) -> None:
        seat.is_due |= is_due
        seat.stop_alarm()
        if not seat.is_in_line:
            seat.is_in_line = True
            if not seat.is_running:
                self._line_up(key)

    def _line_up(self, key: str) -> None:
        self._line.append(key)
        self._somebody.set()

    async def _turn(self, key: str, seat: _Seat) -> None:
        is_due, seat.is_due = seat.is_due, False
        seat.is_in_line, seat.is_running = False, True
        try:
            seconds = await self._take(key, is_due)
        finally:
            seat.is_running = False
        if seat.is_in_line:
            self._line_up(key)
        elif seconds is None:
            del self._seats[key]
        else:
            loop = asyncio.get_running_loop()
            seat.alarm = loop.call_later(max(seconds, 0), lambda: self._queue(key, seat, is_due=True))


def _adapted(most: int, *, others_s: float, turns_s: float) -> int:
    """How many turns to begin next, from how long the last ones took and what else was done in between."""
    wanted_s = others_s * _SHARE / (1 - _SHARE)
    factor = wanted_s / turns_s if turns_s > 0 else _STEEPEST
    return min(max(round(most * min(max(factor, 1 / _STEEPEST), _STEEPEST)), _FEWEST), _MOST)
