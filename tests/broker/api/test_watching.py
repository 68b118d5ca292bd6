"""Metrics, audit log and the operator's data, through the whole broker."""

from __future__ import annotations

import logging

import pytest

from tests.broker.api.serving import JsonObject, SaidProvider, Served, serving
from tests.broker.samples import make_profile

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def audited(caplog: pytest.LogCaptureFixture) -> list[JsonObject]:
    return [vars(record)["audit"] for record in caplog.records if record.name == "pixelferry.audit"]


@pytest.mark.parametrize("path", ["/metrics", "/streaming/metrics", "/applications/metrics"])
async def test_metrics_are_served_in_prometheus_form(served: Served, path: str) -> None:
    stream = (await served.start()).json["id"]
    answer = await served.call("GET", path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.body.decode()
    assert 'pixelferry_sessions{phase="none",state="ready"} 1.0' in text
    assert 'pixelferry_slots_used{profile="default"} 1.0' in text
    assert 'pixelferry_api_requests_total{method="POST",route="/stream",status="2xx"} 1.0' in text
    assert "_created" not in text.replace("sessions_created_total", "")
    assert str(stream) not in text


async def test_paths_that_somebody_makes_up_do_not_grow_the_metrics(served: Served) -> None:
    before = (await served.call("GET", "/metrics")).body.count(b"\n")
    for path in ("/nowhere/1", "/nowhere/2", f"/stream/{UNKNOWN}", "/stream/x/y/z", "/viewer.css"):
        await served.call("GET", path)
        await served.call("PURGE", path)
    assert (await served.call("GET", "/metrics")).body.count(b"\n") == before


async def test_create_and_end_are_audited_with_request_and_source(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pixelferry.audit"):
        created = await served.start()
        stream = created.json["id"]
        deleted = await served.call("DELETE", f"/stream/{stream}")
    create, end = audited(caplog)
    assert (create["act"], create["subject"], create["by"]) == ("create session", stream, "anonymous")
    assert (create["source"], create["request_id"]) == ("127.0.0.1", created.headers["X-Request-Id"])
    assert (end["act"], end["by"], end["reason"]) == ("end session", "anonymous", "deleted")
    assert end["request_id"] == deleted.headers["X-Request-Id"] != create["request_id"]


async def test_a_backends_end_is_audited_as_the_brokers_own(caplog: pytest.LogCaptureFixture) -> None:
    provider = SaidProvider()
    async with serving(provider=provider) as served:
        with caplog.at_level(logging.INFO, "pixelferry.audit"):
            stream = (await served.start()).json["id"]
            provider.kill_all("gone")
            await served.until(f"/stream/{stream}", 410)
    assert [(line["act"], line["by"], line.get("reason")) for line in audited(caplog)] == [
        ("create session", "anonymous", None),
        ("end session", "pixelferry", "backend_failed"),
    ]


async def test_what_is_refused_is_audited_and_what_is_only_read_is_not(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pixelferry.audit"):
        await served.call("DELETE", f"/stream/{UNKNOWN}")
        await served.call("POST", "/stream", {"id": "nothing", "profile": "default"})
        await served.call("POST", "/stream", {"id": "app", "profile": "default"}, Origin="http://evil.example")
        await served.call("GET", f"/stream/{UNKNOWN}")
        await served.call("POST", "/nowhere", {})
    assert [(line["act"], line["subject"], line["outcome"], line["status"]) for line in audited(caplog)] == [
        ("DELETE /stream/{id}", UNKNOWN, "refused", 404),
        ("POST /stream", "", "refused", 404),
        ("POST /stream", "", "refused", 403),
    ]


async def test_nothing_secret_is_audited(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as served:
        with caplog.at_level(logging.DEBUG):
            body = {"id": "app", "profile": "default", "arguments": {"stage": "hush-stage?token=hush"}}
            await served.call("POST", "/stream", body, Authorization="Bearer hush", Idempotency_Key="hush")
            await served.call("DELETE", f"/stream/{UNKNOWN}", Authorization="Bearer hush")
    assert audited(caplog) and "hush" not in repr(audited(caplog))


async def test_the_operator_sees_sessions_slots_queue_relays_and_the_last_hour() -> None:
    async with serving(profile=make_profile(slots=1)) as served:
        stream = (await served.start()).json["id"]
        waiting = (await served.call("POST", "/stream", {"id": "app", "profile": "default"})).json["id"]
        data = (await served.call("GET", "/operator/data")).json
        assert data["count"] == 2
        assert isinstance(data["sessions"], list)
        ready, queued = data["sessions"]
        assert isinstance(ready, dict) and isinstance(queued, dict)
        assert (ready["id"], ready["state"], ready["owner"], ready["queue"]) == (stream, "ready", "anonymous", None)
        assert isinstance(ready["alarm"], dict) and ready["alarm"]["reason"] == "never_connected"
        assert (queued["id"], queued["phase"], queued["queue"]) == (waiting, "queued", {"position": 1, "eta_s": None})
        assert isinstance(data["slots"], list)
        assert data["slots"][0] == {"profile": "default", "name": "Default", "used": 1, "total": 1, "queued": 1}
        assert isinstance(data["relays"], list) and isinstance(data["relays"][0], dict)
        assert data["relays"][0]["sessions"] == 1
        await served.call("DELETE", f"/stream/{waiting}")
        history = (await served.call("GET", "/operator/data")).json["history"]
        assert isinstance(history, dict)
        assert isinstance(history["created"], list) and sum(int(str(n)) for n in history["created"]) == 2
        assert isinstance(history["ended"], dict) and list(history["ended"]) == ["deleted"]
        assert "secret" not in str(data)
