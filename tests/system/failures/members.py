"""The processes of a cluster, one by one: how each is started, asked whether it is up, and told to fail."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.absence import absent
from tests.system.failures.nursery import Child, Nursery
from tests.system.failures.way import Way

START_WITHIN_S = 20.0
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_ASK_EVERY_S = 0.05


@dataclass
class Member:
    """A process that can be started again and again. `health` is a URL that answers once it is up."""

    name: str
    nursery: Nursery
    target: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    health: str
    way: Way | None = None
    starts: int = 0
    child: Child | None = None
    former: list[Child] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """Where that is written."""
        return self.folder / f"{self.name}.log"

    @property
    def lives(self) -> bool:
        """Whether its process runs."""
        return self.child is not None and self.child.lives

    def set_clock(self, offset_s: float) -> None:
        """Have its clock go wrong by so much, soon, where the cluster has false clocks."""
        self._clock.write_text(f"{offset_s:+g}")

    async def start(self) -> None:
        """Start the process; does not wait for it."""
        self.starts += 1
        if not self._clock.exists():
            self.set_clock(0)
        environment = {**self.environment, "FAKETIME_TIMESTAMP_FILE": str(self._clock)}
        self.child = await self.nursery.spawn(self.target, self.arguments, log=self.log, environment=environment)

    @property
    def _clock(self) -> Path:
        return self.folder / f"{self.name}.clock"

    async def up(self, http: aiohttp.ClientSession, *, within_s: float = START_WITHIN_S) -> None:
        """Wait until it answers; one that ended meanwhile is started again, as what supervises processes does."""
        try:
            async with asyncio.timeout(within_s):
                while not await answers(http, self.health):
                    if not self.lives:
                        await self.start()
                    await asyncio.sleep(_ASK_EVERY_S)
        except TimeoutError:
            raise AssertionError(f"{self.name} is not up:\n{self.said()[-3000:]}") from None

    def said(self) -> str:
        """What all its runs said."""
        return self.log.read_text() if self.log.exists() else ""

    async def kill(self) -> None:
        """kill -9."""
        await self.end(signal.SIGKILL)

    async def end(self, number: signal.Signals, *, within_s: float = START_WITHIN_S) -> int | None:
        """End it by a signal; its exit status, None where it did not run."""
        if self.child is None:
            return None
        child, self.child = self.child, None
        self.former.append(child)
        child.send(signal.SIGCONT)
        return await child.end(number, within_s=within_s)

    def freeze(self) -> None:
        """Stop it where it stands."""
        if self.child is not None:
            self.child.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self.child is not None:
            self.child.send(signal.SIGCONT)


async def answers(http: aiohttp.ClientSession, url: str, *, status: int | None = None) -> bool:
    """Whether anything (or this status) is answered there now."""
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(2), http.get(url) as answer:
            await answer.read()
            return status is None or answer.status == status
    return False


async def until(question: Callable[[], Awaitable[object]], *, within_s: float, what: str) -> None:
    """Ask until the answer is true; names what did not come."""
    try:
        async with asyncio.timeout(within_s):
            while not await question():  # noqa: ASYNC110 - asked of other processes
                await asyncio.sleep(_ASK_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {within_s:g} s") from None


def false_clock_environment() -> dict[str, str]:
    """What has a process see the clock of a file of its own; durations stay true. Without libfaketime: `absent`."""
    if not _FAKETIME.exists():
        absent("libfaketime")
    return {"LD_PRELOAD": str(_FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
