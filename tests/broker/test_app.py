from __future__ import annotations

import asyncio

import aiohttp
import pytest

from broker.core.session import EndReason
from broker.core.slot import SlotRef
from broker.errors import StoreUnavailable
from broker.settings import BrokerSettings
from broker.stores.memory import MemoryStore
from tests.broker.api.serving import SaidProvider, serving
from tests.broker.samples import RELAY


async def test_it_lives_and_may_take_work_once_a_relay_is_announced() -> None:
    async with serving() as served:
        ready = await served.call("GET", "/readyz")
        assert (ready.status, ready.json) == (200, {"status": "ready", "causes": []})
        await served.relay.table.retire(RELAY.id)
        unready = await served.call("GET", "/readyz")
        assert (unready.status, unready.json["causes"]) == (503, ["no relay is announced"])
        assert (await served.call("GET", "/healthz")).status == 200


class AbsentStore(MemoryStore):
    away = False
    reason = ""

    async def check(self) -> None:
        if self.away:
            raise StoreUnavailable(reason=self.reason)


async def test_it_takes_no_work_while_the_store_is_away() -> None:
    store = AbsentStore()
    async with serving(store=store) as served:
        store.away = True
        unready = await served.call("GET", "/readyz")
        store.reason = "Redis at redis://127.0.0.1 asks for a password: set redis.password"
        told = await served.call("GET", "/readyz")
        store.away = False
    assert (unready.status, unready.json["causes"]) == (503, ["the store does not answer"])
    assert told.json["causes"] == [store.reason]


async def test_a_stop_ends_every_session_and_returns_all() -> None:
    store = MemoryStore()
    async with serving(store=store) as served:
        for _ in range(3):
            await served.start()
        served.provider.hold = True
        await served.call("POST", "/stream", {"id": "app", "profile": "default"})
    sessions = list((await store.sessions()).values())
    assert [session.end_reason for session in sessions] == [EndReason.DELETED] * 4
    assert all(session.slot is None and session.ports is None for session in sessions)
    assert await served.relay.table.routes() == {}


async def test_a_caller_that_waits_is_answered_when_it_stops() -> None:
    async with serving() as served:
        served.provider.hold = True
        waiting = asyncio.create_task(served.start())
        while not (await served.call("GET", "/stream")).items:
            pass
        served.stop.set()
        assert (await asyncio.wait_for(waiting, 5)).status == 410


class SlowProvider(SaidProvider):
    """Gives slots back only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def release(self, slot: SlotRef) -> None:
        await self.let.wait()
        await super().release(slot)


async def test_while_it_stops_it_takes_nothing_new() -> None:
    provider = SlowProvider()
    async with serving(provider=provider) as served:
        await served.start()
        served.stop.set()
        async with asyncio.timeout(5):
            while (answer := await served.call("GET", "/readyz")).status == 200:
                pass
        assert answer.json["causes"] == ["stopping"]
        refused = await served.start()
        assert refused.status == 503
        assert "stopping" in str(refused.json["detail"])
        with pytest.raises(aiohttp.ClientConnectorError):
            async with aiohttp.ClientSession() as other, other.get(served.url):
                pass
        provider.let.set()


async def test_a_stop_takes_no_longer_than_allowed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(provider=SlowProvider(), stop_s=0.1) as served:
        await served.start()
    assert "not every session ended in order" in caplog.text


async def test_where_every_address_is_listened_on_its_own_is_known_and_any_page_may_signal() -> None:
    settings = BrokerSettings(listen="0.0.0.0:0", insecure_no_identity=True)  # type: ignore[arg-type]
    async with serving(host="0.0.0.0", listen=settings.listen) as served:
        answer = await served.start()
        assert served.relay.served[str(answer.json["id"])].allowed_origins == ("*",)
        assert (await served.call("GET", "/stream", Host="0.0.0.0")).status == 421
