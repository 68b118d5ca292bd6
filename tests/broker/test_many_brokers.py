"""Several brokers on one real Redis, in one process, with backends that outlive them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from broker.app import Broker
from broker.configuration import ConfigurationError
from broker.core.catalog import Profile
from broker.fellows import Fellows
from broker.leadership import LEASE_S
from broker.listening import ListenAddress, listen
from broker.redis_state import redis_state
from broker.settings import BrokerSettings
from broker.stores.epoch import Epoch, EpochState
from broker.stores.lease import PAUSE_AFTER_TTLS
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from signaling.table_redis import RedisRouteTable
from tests.broker.api.serving import Answer, SaidProvider, Served, make_catalog
from tests.broker.relay import ReportingRelay
from tests.broker.samples import make_profile
from tests.broker.waiting import eventually

CREATE = {"id": "app", "profile": "default"}


@dataclass
class Deployment:
    """Brokers come and go; Redis, the relay and the backends stay."""

    redis: RedisSettings
    profile: Profile
    secret: Path
    relay: ReportingRelay
    http: aiohttp.ClientSession
    provider: SaidProvider = field(default_factory=SaidProvider)

    @asynccontextmanager
    async def broker(self, *, secret: Path | None = None) -> AsyncIterator[Served]:
        """One more broker, until the end of the block."""
        settings = BrokerSettings(admission={"secret_file": secret or self.secret})  # type: ignore[arg-type]
        stop, started = asyncio.Event(), asyncio.Event()
        sockets = listen(ListenAddress("127.0.0.1", 0))
        try:
            async with redis_state(self.redis) as state:
                epoch = Epoch("first", EpochState.READY)
                assert state.epochs is not None
                await state.epochs.set_epoch(epoch, instead_of=None)
                catalog, common = make_catalog(self.profile), {"process": self.provider}
                broker = Broker(settings, catalog, state, own={}, common=common)
                await broker.join()
                running = asyncio.create_task(broker.run(sockets, stop, started=started.set))
                try:
                    async with asyncio.timeout(10):
                        await started.wait()
                    yield Served(broker, self.provider, self.relay, stop, sockets[0].getsockname()[1], self.http)
                finally:
                    stop.set()
                    await asyncio.wait_for(running, 15)
        finally:
            for bound in sockets:
                bound.close()


@pytest.fixture
def slots() -> int:
    return 4


@pytest.fixture
async def deployment(redis_settings: RedisSettings, tmp_path: Path, slots: int) -> AsyncIterator[Deployment]:
    secret = tmp_path / "secret"
    secret.write_text("a secret that all of these brokers share\n")
    async with AsyncExitStack() as stack:
        link = RedisLink(redis_settings)
        stack.push_async_callback(link.close)
        table = RedisRouteTable(link, look_s=0.1)
        stack.push_async_callback(table.close)
        relay = ReportingRelay(table)
        relaying = asyncio.create_task(relay.run())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Deployment(redis_settings, make_profile(slots=slots), secret, relay, http)
        relaying.cancel()
        await asyncio.wait((relaying,))


@pytest.fixture
async def two(deployment: Deployment) -> AsyncIterator[tuple[Served, Served]]:
    """The first one leads."""
    async with deployment.broker() as one, deployment.broker() as other:
        assert (await one.call("GET", "/readyz")).status == (await other.call("GET", "/readyz")).status == 200
        yield one, other


async def queued(served: Served) -> str:
    answer = await served.call("POST", "/stream", CREATE)
    assert (answer.status, answer.json["phase"]) == (202, "queued"), answer
    return str(answer.json["id"])


async def test_what_one_broker_makes_another_knows_at_once_and_ends(two: tuple[Served, Served]) -> None:
    one, other = two
    for made, asked in (two, (other, one)):
        session = (await made.start()).json["id"]
        found = await asked.call("GET", f"/stream/{session}")
        assert (found.status, found.json["id"]) == (200, session)
        assert (await asked.call("DELETE", "/stream", {"id": session})).status == 204
        assert (await made.call("GET", f"/stream/{session}")).status == 404
    await eventually(lambda: one.provider.running == [])


async def test_a_request_repeated_at_another_broker_makes_nothing_anew(two: tuple[Served, Served]) -> None:
    answers = await asyncio.gather(
        *(served.call("POST", "/stream", CREATE, Idempotency_Key="the same") for served in two * 4)
    )
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len((await two[0].call("GET", "/stream")).items) == 1


@pytest.mark.parametrize("slots", [1])
async def test_who_waits_stands_in_one_queue_whichever_broker_is_asked(two: tuple[Served, Served]) -> None:
    one, other = two
    holder = (await other.start()).json["id"]
    waiting = [await queued(served) for served in (one, other, one)]

    async def places(served: Served) -> list[object]:
        answers = [await served.call("GET", f"/stream/{session}") for session in waiting]
        return [place_of(answer) for answer in answers]

    for served in two:
        await until_equal(partial(places, served), [1, 2, 3])
    await other.call("DELETE", "/stream", {"id": holder})
    await until_equal(partial(places, other), [None, 1, 2])
    assert (await other.until(f"/stream/{waiting[0]}", 200)).json["id"] == waiting[0]


def place_of(answer: Answer) -> object:
    """Its place in the queue, None for one that has none, and the whole answer for one that is no session's."""
    if answer.status not in (200, 202):
        return answer
    queue = answer.json.get("queue")
    return queue["position"] if isinstance(queue, dict) else None


async def until_equal(read: Callable[[], Awaitable[list[object]]], wanted: list[object]) -> None:
    for _ in range(1000):
        found = await read()
        if found == wanted:
            return
        await asyncio.sleep(0.01)
    assert found == wanted


async def test_a_broker_that_stops_hands_over_and_ends_nothing(deployment: Deployment) -> None:
    async with deployment.broker() as other:
        async with deployment.broker() as leaving:
            session = (await leaving.start()).json["id"]
        assert (await other.call("GET", f"/stream/{session}")).status == 200
        async with asyncio.timeout(3):
            made = await other.start()
        assert made.status == 200
        assert len(deployment.provider.running) == 2
    assert len(deployment.provider.running) == 2, "nobody is left, and the next one finds them as they were"
    async with deployment.broker() as heir:
        found = await heir.call("GET", f"/stream/{session}")
        assert found.status == 200
        assert (await heir.call("DELETE", "/stream", {"id": session})).status == 204
        await eventually(lambda: len(deployment.provider.running) == 1)


async def test_a_broker_with_another_secret_does_not_join(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.app.Fellows", partial(Fellows, patience_s=0.3))
    foreign = tmp_path / "foreign"
    foreign.write_text("a secret that nobody else of them has\n")
    async with deployment.broker() as served:
        with pytest.raises(ConfigurationError, match=r"admission\.secret_file"):
            async with deployment.broker(secret=foreign):
                pass
        assert (await served.call("GET", "/readyz")).status == 200


async def test_events_of_what_one_broker_does_are_told_by_the_other(two: tuple[Served, Served]) -> None:
    one, other = two
    session = (await one.start()).json["id"]
    async with other.http.get(f"{other.url}/stream/{session}/events") as stream, asyncio.timeout(5):
        await one.call("DELETE", "/stream", {"id": session})
        told = b"".join([line async for line in stream.content])
    assert b"event: ended" in told


async def test_clocks_do_not_run_while_no_broker_does(deployment: Deployment) -> None:
    async with deployment.broker() as served:
        made = (await served.start()).json
    away_s = PAUSE_AFTER_TTLS * LEASE_S + 0.2
    await asyncio.sleep(away_s)
    async with deployment.broker() as served:
        found = (await served.until(f"/stream/{made['id']}", 200)).json
        later = datetime.fromisoformat(str(found["ends_at"])) - datetime.fromisoformat(str(made["ends_at"]))
        assert later.total_seconds() >= away_s
