from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from broker.core.events import KEPT_EVENTS, queue_event
from broker.stores.memory import MemoryStore
from tests.broker.api.event_reader import listening
from tests.broker.api.serving import SaidProvider, Served, serving
from tests.broker.samples import make_profile, make_session

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
async def test_the_first_event_is_the_present_state_and_the_last_the_end(served: Served, mount: str) -> None:
    stream = str((await served.start()).json["id"])
    async with listening(served, f"{mount}/{stream}/events") as reader:
        assert reader.response.headers["Content-Type"] == "text/event-stream"
        assert reader.response.headers["Cache-Control"] == "no-cache"
        state, route = await reader.take(2)
        assert (state.name, state.data["state"], state.data["session_id"]) == ("state", "ready", stream)
        assert str(state.data["at"]).endswith("Z") and str(state.data["created_at"]).endswith("Z")
        assert route.name == "route" and route.data["host"] == "127.0.0.1"
        assert route.id is not None and state.id is None
        await served.call("DELETE", f"{mount}/{stream}")
        (ended,) = await reader.rest()
    assert (ended.name, ended.data["end_reason"]) == ("ended", "deleted")
    assert ended.retry is not None and int(ended.retry) > 3_600_000


async def test_a_session_being_prepared_is_told_step_by_step() -> None:
    provider = SaidProvider()
    provider.hold = True
    async with serving(provider=provider) as served:
        stream = str((await served.call("POST", "/stream", {"id": "app", "profile": "default"})).json["id"])
        async with listening(served, f"/stream/{stream}/events") as reader:
            first = (await reader.take(1))[0]
            assert (first.name, first.data["state"]) == ("state", "pending")
            provider.hold = False
            provider.kill_all("It said: no licence")
            ended = (await reader.until("ended"))[-1]
    assert ended.data["end_reason"] == "backend_failed"
    assert ended.data["message"] == "It said: no licence"


@pytest.mark.parametrize("path", ["/events", "/stream/{id}/events"])
async def test_the_present_state_of_one_that_waits_holds_its_place(path: str) -> None:
    async with serving(profile=replace(make_profile(slots=1), queue=2)) as served:
        await served.start()
        waiting = [await served.call("POST", "/stream", {"id": "app", "profile": "default"}) for _ in range(2)]
        last = str(waiting[1].json["id"])
        async with listening(served, path.format(id=last)) as reader:
            told = await reader.until("queue")
            while told[-1].data["session_id"] != last:
                told = await reader.until("queue")
    assert (told[-1].data["position"], told[-1].data["eta_s"]) == (2, None)


async def test_numbers_rise(served: Served) -> None:
    async with listening(served, "/events") as reader:
        await reader.take(1)
        for _ in range(3):
            stream = (await served.start()).json["id"]
            await served.call("DELETE", f"/stream/{stream}")
        heard = [event for _ in range(3) for event in await reader.until("ended")]
    numbers = [int(event.id or "") for event in heard]
    assert numbers == sorted(set(numbers))


async def test_who_comes_back_hears_what_it_missed_and_nothing_again(served: Served) -> None:
    stream = str((await served.start()).json["id"])
    async with listening(served, "/events") as reader:
        last = (await reader.take(3))[-1].id
    assert last is not None
    await served.call("DELETE", f"/stream/{stream}")
    async with listening(served, "/events", Last_Event_ID=last) as reader:
        heard = await reader.take(1)
    assert [event.name for event in heard] == ["ended"]
    async with listening(served, f"/events?after={heard[0].id}") as reader:
        await served.start()
        assert [event.name for event in await reader.take(1)] == ["state"]


@pytest.mark.parametrize("path", ["/events", "/stream/{id}/events"])
async def test_who_comes_back_too_late_is_told_the_present_state_anew(path: str) -> None:
    store = MemoryStore()
    async with serving(store=store) as served:
        stream = str((await served.start()).json["id"])
        old = str(await store.last_event_id() - 1)
        await store.append([queue_event(make_session(), position=1, eta_s=None, at=1.0)] * KEPT_EVENTS)
        async with listening(served, path.format(id=stream), Last_Event_ID=old) as reader:
            reset, state, route = await reader.take(3)
    assert (reset.name, reset.data) == ("reset", {"reason": "trimmed", "sessions": 1})
    assert (state.name, state.data["state"], route.name) == ("state", "ready", "route")
    assert reset.id is None and state.id is None and route.id is not None


async def test_all_events_begin_with_how_many_sessions_there_are_and_where_each_stands(served: Served) -> None:
    async with listening(served, "/events") as reader:
        (reset,) = await reader.take(1)
        assert reset.data == {"reason": "connected", "sessions": 0}
        assert reset.id is not None
    ids = {(await served.start()).json["id"] for _ in range(2)}
    async with listening(served, "/events") as reader:
        reset, *present = await reader.take(5)
    assert reset.data["sessions"] == 2
    assert {event.data["session_id"] for event in present if event.name == "state"} == ids


async def test_events_of_a_session_that_has_ended_tell_the_end_and_stop(served: Served) -> None:
    stream = (await served.start()).json["id"]
    await served.call("DELETE", f"/stream/{stream}")
    for headers in ({}, {"Last_Event_ID": "5"}):
        async with listening(served, f"/stream/{stream}/events", **headers) as reader:
            (ended,) = await reader.rest()
        assert (ended.name, ended.data["end_reason"]) == ("ended", "deleted")


async def test_refusals_are_answers_and_no_streams(served: Served) -> None:
    assert (await served.call("GET", f"/stream/{UNKNOWN}/events")).status == 404
    assert (await served.call("GET", "/stream/NOT-AN-ID/events")).problem["loc"] == ["path", "id"]
    assert (await served.call("POST", "/events", {})).status == 405


@pytest.mark.parametrize("number", ["-1", "abc", "1" * 20, "1.5", "٣"])
async def test_what_is_no_number_of_an_event_is_refused_by_name(served: Served, number: str) -> None:
    if number.isascii():
        answer = await served.call("GET", "/events", Last_Event_ID=number)
        assert answer.problem["loc"] == ["header", "Last-Event-ID"]
    assert (await served.call("GET", f"/events?after={number}")).problem["loc"] == ["query", "after"]


async def test_a_number_from_elsewhere_is_a_gap_and_no_error(served: Served) -> None:
    async with listening(served, "/events", Last_Event_ID="9" * 18) as reader:
        assert (await reader.take(1))[0].data["reason"] == "trimmed"


async def test_a_page_that_may_read_the_api_may_read_its_events(served: Served) -> None:
    async with listening(served, "/events", Origin="http://localhost:5173") as reader:
        assert reader.response.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert "Last-Event-ID" in reader.response.headers["Access-Control-Allow-Headers"]
    async with listening(served, "/events", Origin="http://elsewhere.example") as reader:
        assert "Access-Control-Allow-Origin" not in reader.response.headers


async def test_nothing_secret_is_told() -> None:
    store = MemoryStore()
    async with serving(store=store) as served:
        stream = str((await served.start()).json["id"])
        session = await store.read(stream)
        assert session is not None and session.backend is not None
        async with listening(served, "/events") as reader:
            heard = repr(await reader.take(3))
    assert session.backend_secret not in heard
    assert session.backend.host not in heard


async def test_a_stopping_broker_tells_ends_and_lets_readers_go() -> None:
    async with AsyncExitStack() as stack:
        async with serving() as served:
            stream = (await served.start()).json["id"]
            one = await stack.enter_async_context(listening(served, f"/stream/{stream}/events"))
            every = await stack.enter_async_context(listening(served, "/events"))
            await one.take(2)
            await every.take(3)
            served.stop.set()
            assert [event.name for event in await one.rest()] == ["ended"]
            assert [(event.name, event.data.get("reason")) for event in await every.rest()] == [
                ("ended", None),
                ("closing", "stopping"),
            ]


async def test_a_reader_that_goes_is_not_counted_till_the_next_heartbeat() -> None:
    async with serving() as served:
        async with listening(served, "/events") as reader:
            await reader.take(1)
            assert "pixelferry_event_streams 1.0" in (await served.call("GET", "/metrics")).body.decode()
        begun = asyncio.get_running_loop().time()
        while "pixelferry_event_streams 0.0" not in (await served.call("GET", "/metrics")).body.decode():
            assert asyncio.get_running_loop().time() < begun + 5
