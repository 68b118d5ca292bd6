"""A cluster under load, and the verdict on what became of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.system.failures.checker import violations
from tests.system.failures.cluster import Cluster, Shape, cluster
from tests.system.failures.excuses import Bounds
from tests.system.failures.faults import Faults
from tests.system.failures.history import History, as_json
from tests.system.failures.inspection import dump_of, holdings_of
from tests.system.failures.listener import Listener
from tests.system.failures.load import Habits, Load
from tests.system.failures.members import answers, until
from tests.system.failures.outcome import Outcome, outcome_of

_FLOWING_WITHIN_S = 20.0
_SETTLED_WITHIN_S = 30.0
_LOAD_ENDS_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.3
USUAL_SHAPE = Shape()
_USUAL_HABITS = Habits()
_USUAL_BOUNDS = Bounds()
REPORT = "FAILURES_REPORT"
"""Environment variable: the file to which outcomes are appended, a JSON object a line."""


@dataclass
class Run:
    """Made by `running()`. `name` is what the outcome is reported under."""

    name: str
    cluster: Cluster
    load: Load
    faults: Faults
    listener: Listener
    loading: asyncio.Task[None]
    bounds: Bounds

    async def flowing(self, *, within_s: float = _FLOWING_WITHIN_S) -> None:
        """Until every resident sees echoes."""

        async def all_flow() -> bool:
            return self.load.all_flow()

        await until(all_flow, within_s=within_s, what="echoes for every resident")

    async def judged(self) -> Outcome:
        """End the load, let everything come to rest, and raise AssertionError for all that was not as promised."""
        await self._at_peace()
        self.load.stop()
        async with asyncio.timeout(_LOAD_ENDS_WITHIN_S):
            await asyncio.shield(self.loading)
        history = await self._settled()
        found = violations(history, bounds=self.bounds)
        outcome = outcome_of(self.name, history)
        if found:
            raise AssertionError(await self._told(history, [str(violation) for violation in found]))
        _report(outcome)
        return outcome

    async def _at_peace(self) -> None:
        """Until every broker may take new work and every resident sees echoes."""
        try:
            await _ready(self.cluster)
            await self.flowing()
        except AssertionError as error:
            history = await self._history()
            found = [str(violation) for violation in violations(history, bounds=self.bounds)]
            raise AssertionError(await self._told(history, [str(error), *found])) from None

    async def _settled(self) -> History:
        """The history with what is held once it adds up, or does not after a while."""
        deadline = asyncio.get_running_loop().time() + _SETTLED_WITHIN_S
        while True:
            history = await self._history()
            if not violations(history, bounds=self.bounds) or asyncio.get_running_loop().time() > deadline:
                return history
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _history(self) -> History:
        return self.cluster.recorder.history(await holdings_of(self.cluster), self.load.flows())

    async def _told(self, history: History, found: list[str]) -> str:
        folder = Path(os.environ.get("FAILURES_KEEP", self.cluster.folder))
        kept = {"history.json": as_json(history), "logs": self.cluster.logs(), "redis": await dump_of(self.cluster)}
        for kind, text in kept.items():
            folder.joinpath(f"{self.name.replace(' ', '-')}.{kind}").write_text(text)
        outages = [f"{out.part} {out.name}: {out.began:.2f} to {out.ended:.2f}" for out in history.outages]
        lines = [*found[:40], f"({len(found)} in all; history and logs with FAILURES_KEEP=folder)", *outages[-20:]]
        return "\n".join(lines)


async def _ready(cluster: Cluster) -> None:
    """Wait until every broker may take new work."""

    async def all_are() -> bool:
        urls = [f"{cluster.url(name)}/readyz" for name in cluster.brokers]
        return all([await answers(cluster.http, url, status=200) for url in urls])

    await until(all_are, within_s=_SETTLED_WITHIN_S, what="readiness of every broker")


def _report(outcome: Outcome) -> None:
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as report:
            report.write(json.dumps(asdict(outcome)) + "\n")


@asynccontextmanager
async def running(
    name: str,
    *,
    shape: Shape = USUAL_SHAPE,
    habits: Habits = _USUAL_HABITS,
    bounds: Bounds = _USUAL_BOUNDS,
    seed: int = 1,
    redis: Mapping[str, str] | None = None,
    false_clocks: bool = False,
) -> AsyncIterator[Run]:
    """A cluster with its load, whose residents see echoes. `redis` are options of redis-server."""
    async with cluster(shape, redis_options=redis or {}, false_clocks=false_clocks) as made:
        await _ready(made)
        load = Load(made.recorder, Random(seed), habits)
        loading = asyncio.create_task(load.run(), name="load")
        listener = Listener(made.recorder)
        listening = asyncio.create_task(listener.run(), name="listener")
        run = Run(name, made, load, Faults(made), listener, loading, bounds)
        try:
            await run._at_peace()
            yield run
        finally:
            loading.cancel()
            listening.cancel()
            await asyncio.wait((loading, listening))
            await load.close()
