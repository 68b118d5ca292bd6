"""A steady load: guests who come, watch and go, residents who stay, and readers who look at everybody's sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from tests.system.failures.history import Flow
from tests.system.failures.recorder import Answer, Recorder
from tests.system.failures.viewer import Path, Viewer

_PAUSE_S = 0.25
_FORGET_AFTER = 200


@dataclass(frozen=True, slots=True)
class Habits:
    """How many of whom, and how long guests stay. Those of `scarce` ask for a profile with too few slots."""

    residents: int = 4
    guests: int = 3
    scarce: int = 3
    readers: int = 2
    stay_s: tuple[float, float] = (0.5, 3.0)
    reads_every_s: float = 0.15


@dataclass
class Load:
    """`run` until `stop` is set; then guests take their leave, and residents stay."""

    recorder: Recorder
    random: Random
    habits: Habits = Habits()
    viewers: dict[str, Viewer] = field(default_factory=dict)
    _known: list[str] = field(default_factory=list)
    _gone: list[Viewer] = field(default_factory=list)
    _watching: set[asyncio.Task[None]] = field(default_factory=set)
    _keys: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Let nobody come any more."""
        self._stop.set()

    async def run(self) -> None:
        """Until stopped and every guest has left. Residents' viewers go on until `close`."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.habits.residents):
                group.create_task(self._resident(), name=f"resident {number}")
            for number in range(self.habits.guests):
                group.create_task(self._guests("default"), name=f"guests {number}")
            for number in range(self.habits.scarce):
                group.create_task(self._guests("scarce"), name=f"scarce guests {number}")
            for number in range(self.habits.readers):
                group.create_task(self._reader(), name=f"reader {number}")

    async def close(self) -> None:
        """End every viewer."""
        self._stop.set()
        for task in self._watching:
            task.cancel()
        if self._watching:
            await asyncio.wait(self._watching)

    def flows(self) -> tuple[Flow, ...]:
        """All that viewers had."""
        return tuple(flow for viewer in (*self._gone, *self.viewers.values()) for flow in viewer.flows())

    def all_flow(self) -> bool:
        """Whether every resident sees echoes."""
        return len(self.viewers) >= self.habits.residents and all(one.flowing for one in self.viewers.values())

    async def _resident(self) -> None:
        """Has a session with a viewer all the time; takes another where that one ends."""
        while not self._stop.is_set():
            session = await self._made("default", until_stop=True)
            if session is not None:
                viewer, watching = self._watch(session)
                await self._until_over(session)
                if not self._stop.is_set():
                    await self._unwatch(viewer, watching)

    async def _guests(self, profile: str) -> None:
        while not self._stop.is_set():
            session = await self._made(profile)
            if session is not None:
                viewer, watching = self._watch(session)
                await self._pause(self.random.uniform(*self.habits.stay_s))
                await self._unwatch(viewer, watching)
                await self._delete(session)

    async def _reader(self) -> None:
        """Asks any broker for any session that was spoken of, and for the list now and then."""
        while not self._stop.is_set():
            if self._known and self.random.random() < 0.9:
                await self.recorder.get(self._broker(), self.random.choice(self._known))
            else:
                await self.recorder.list(self._broker())
            await self._pause(self.habits.reads_every_s)

    async def _made(self, profile: str, *, until_stop: bool = False) -> str | None:
        """A session that is ready; None where it ended before. Asks every broker in turn until one answers."""
        self._keys += 1
        key = f"{profile}-{self._keys}"
        while True:
            answer = await self.recorder.create(self._broker(), key, profile)
            if answer.session is not None:
                break
            if self._stop.is_set() and answer.status not in (None, 503):
                return None
            await asyncio.sleep(_PAUSE_S)
        self._known.append(answer.session)
        del self._known[:-_FORGET_AFTER]
        return answer.session if await self._readiness(answer) else None

    async def _readiness(self, answer: Answer) -> bool:
        """Poll until it is ready or over; a guest who waits in vain when all go gives up by a delete."""
        assert answer.session is not None
        session = answer.session
        while not answer.ready and answer.status not in (404, 410):
            await asyncio.sleep(_PAUSE_S)
            if self._stop.is_set():
                await self._delete(session)
                return False
            answer = await self.recorder.get(self._broker(), session)
        return answer.ready

    async def _until_over(self, session: str) -> None:
        """Until told to stop, or until a broker says that it ended."""
        while not self._stop.is_set():
            await self._pause(1)
            answer = await self.recorder.get(self._broker(), session)
            if answer.status in (404, 410):
                return

    async def _delete(self, session: str) -> None:
        while True:
            answer = await self.recorder.delete(self._broker(), session)
            if answer.status not in (None, 503):
                return
            await asyncio.sleep(_PAUSE_S)

    def _watch(self, session: str) -> tuple[Viewer, asyncio.Task[None]]:
        viewer = self.viewers[session] = Viewer(session, self._path_of)
        watching = asyncio.create_task(viewer.run(), name=f"viewer of {session}")
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return viewer, watching

    async def _unwatch(self, viewer: Viewer, watching: asyncio.Task[None]) -> None:
        viewer.leave()
        await watching
        self._gone.append(self.viewers.pop(viewer.session))

    async def _path_of(self, session: str) -> Path | None:
        return (await self.recorder.get(self._broker(), session)).path

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _broker(self) -> str:
        names: Sequence[str] = tuple(self.recorder.brokers)
        return self.random.choice(names)
