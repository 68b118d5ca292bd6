from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from broker.core.catalog import Clocks
from tests.broker.api.serving import JsonObject, serving
from tests.broker.samples import make_profile

BODY = {"id": "app", "profile": "default"}


def ends_at(stream: JsonObject) -> float:
    return datetime.fromisoformat(str(stream["ends_at"])).timestamp()


@pytest.mark.parametrize("mount", ["/stream", "/streaming/stream"])
async def test_a_session_is_extended_by_a_step_or_less(mount: str) -> None:
    clocks = Clocks(max_length_s=100, extend_s=30, extend_most_s=40)
    async with serving(profile=make_profile(clocks=clocks)) as served:
        session = (await served.start(mount)).json
        assert session["ends_reason"] == "max_length"
        path = f"{mount}/{session['id']}/extend"
        first = await served.call("POST", path)
        assert first.status == 200
        assert ends_at(first.json) - ends_at(session) == pytest.approx(30, abs=0.01)
        second = await served.call("POST", path, {"seconds": 5}, Idempotency_Key="k")
        again = await served.call("POST", path, {"seconds": 5}, Idempotency_Key="k")
        assert second.json["extended_s"] == again.json["extended_s"] == 35
        assert (await served.call("POST", path, {"seconds": 1e6})).json["extended_s"] == 40
        refused = await served.call("POST", path)
        assert (refused.status, refused.json["detail"]) == (
            403,
            "Session was extended by 40 s already, as much as its profile allows.",
        )


async def test_where_the_profile_allows_none_an_extension_is_forbidden() -> None:
    async with serving(profile=make_profile(clocks=Clocks(max_length_s=100))) as served:
        session = (await served.start()).json
        refused = await served.call("POST", f"/stream/{session['id']}/extend")
        assert (refused.status, refused.json["detail"]) == (403, "Profile 'default' lets no session be extended.")


async def test_where_no_clock_runs_an_extension_is_a_conflict() -> None:
    async with serving(profile=make_profile(clocks=Clocks(extend_s=30))) as served:
        served.provider.hold = True
        pending = (await served.call("POST", "/stream", BODY)).json
        assert (await served.call("POST", f"/stream/{pending['id']}/extend")).status == 409


@pytest.mark.parametrize("body", [{"seconds": 0}, {"seconds": -1}, {"seconds": "soon"}, {"seconds": 1e300}, []])
async def test_a_bad_wish_is_named(body: object) -> None:
    async with serving(profile=make_profile(clocks=Clocks(max_length_s=100, extend_s=30))) as served:
        session = (await served.start()).json
        refused = await served.call("POST", f"/stream/{session['id']}/extend", body)
        assert refused.status == 422, refused


async def test_an_unknown_session_is_not_extended() -> None:
    async with serving() as served:
        path = "/stream/8d5f4c2e-1f0a-4a5b-9c3d-7e6f5a4b3c2d/extend"
        assert (await served.call("POST", path)).status == 404


async def test_a_waiting_session_tells_its_place_and_every_session_its_clocks() -> None:
    profile = replace(make_profile(slots=1, clocks=Clocks(placement_s=77)), queue=2)
    async with serving(profile=profile) as served:
        first = (await served.start()).json
        assert "queue" not in first
        waiting = [await served.call("POST", "/stream", BODY) for _ in range(3)]
        assert [answer.status for answer in waiting] == [202, 202, 429]
        assert int(waiting[2].headers["Retry-After"]) >= 1
        second = waiting[1].json
        assert second["phase"] == "queued"
        assert second["status"] == {
            "condition": "pending",
            "message": "Session is being prepared: waiting for a free slot",
            "status": False,
        }
        assert second["queue"] == {"position": 2, "eta_s": None, "length": 2}
        assert second["ends_reason"] == "queue_timeout"
        clocks = second["clocks"]
        assert isinstance(clocks, dict) and clocks["placement_s"] == 77
        listed = (await served.call("GET", "/stream")).items
        assert [item.get("queue") for item in listed[1:]] == [waiting[0].json["queue"] | {"length": 2}, second["queue"]]  # type: ignore[operator]
        await served.call("DELETE", f"/stream/{first['id']}")
        ready = await served.until(f"/stream/{waiting[0].json['id']}", 200)
        assert "queue" not in ready.json
        moved = (await served.call("GET", f"/stream/{second['id']}")).json["queue"]
        assert isinstance(moved, dict) and moved["position"] == 1 and moved["eta_s"] is not None
        assert (await served.call("DELETE", f"/stream/{second['id']}")).status == 204
