"""Nodes over HTTP: who may register, from where, and what they and admins are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker.identity.keys import digest_of
from signaling.routes import Json
from tests.broker.api.serving import Answer, JsonObject, Served, serving
from tests.broker.providers.light_backend import LightBackend, light_backend
from tests.broker.samples import make_profile

TOKEN, ALL_TOKEN = "pfk_of-gpu-1", "pfk_of-all"
TOKENS = {"gpu-1": {"sha256": digest_of(TOKEN)}, "all": {"sha256": digest_of(ALL_TOKEN), "nodes": ["gpu-*"]}}
NODES = {"tokens": TOKENS, "allow_loopback": True, "heartbeat_s": 1}
ON_NODES = replace(make_profile(), provider="static", labels={"gpu": "l40s"})


def slot(number: int = 0, *, control_port: int = 47002, **changes: Json) -> JsonObject:
    return {
        "number": number,
        "signaling_port": 47000,
        "media_port": 47001,
        "control_port": control_port,
        "control_token": "a-token-of-a-control-port",
        "instance": "first",
        "state": "idle",
        **changes,
    }


def node(*slots: JsonObject, **changes: Json) -> JsonObject:
    return {"slots": list(slots) or [slot()], "labels": {"gpu": "l40s"}, "zone": "hall-1", "boot": "b", **changes}


async def put(
    served: Served, body: object, name: str = "gpu-1", *, token: str | None = TOKEN, **headers: str
) -> Answer:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await served.call("PUT", f"/nodes/{name}", body, None, **headers)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(nodes=NODES, profile=ON_NODES) as served:
        yield served


@pytest.fixture
async def backend() -> AsyncIterator[LightBackend]:
    async with light_backend() as backend:
        yield backend


async def test_a_node_registers_and_admins_see_it(served: Served) -> None:
    answer = await put(served, node(slot(), slot(7, state="failed", message="no GPU")))
    assert (answer.status, answer.json) == (200, {"name": "gpu-1", "heartbeat_s": 1.0, "release": []})
    (told,) = (await served.call("GET", "/nodes")).items
    assert isinstance(told, dict)
    assert told.pop("last_heard_s") < 5  # type: ignore[operator]
    assert told == {
        "name": "gpu-1",
        "host": "127.0.0.1",
        "zone": "hall-1",
        "labels": {"gpu": "l40s"},
        "presence": "heard",
        "takes_sessions": True,
        "draining": False,
        "version": "",
        "slots": [
            {"number": 0, "state": "idle", "session_id": None, "message": ""},
            {"number": 7, "state": "failed", "session_id": None, "message": "no GPU"},
        ],
    }
    assert "token-of-a-control" not in str(told)


async def test_a_session_goes_to_a_node_and_its_slot_is_used_again(served: Served, backend: LightBackend) -> None:
    body = {"id": "app", "profile": "default"}
    waiting = await served.call("POST", "/stream", body)
    assert waiting.json["phase"] == "queued", "no node is there yet"
    await put(served, node(slot(control_port=backend.port)))
    first = await served.until(f"/stream/{waiting.json['id']}", 200)
    assert backend.session_id == first.json["id"]
    (told,) = (await served.call("GET", "/nodes")).items
    assert told["slots"][0]["session_id"] == first.json["id"]  # type: ignore[index, call-overload]
    second = await served.call("POST", "/stream", body)
    assert second.json["phase"] == "queued"
    assert (await served.call("DELETE", f"/stream/{first.json['id']}")).status == 204
    await served.until(f"/stream/{second.json['id']}", 200)
    assert backend.session_id == second.json["id"]


async def test_a_node_that_says_goodbye_loses_its_sessions(served: Served, backend: LightBackend) -> None:
    await put(served, node(slot(control_port=backend.port)))
    session = (await served.call("POST", "/stream", {"id": "app", "profile": "default"}, Prefer="wait=5")).json["id"]
    assert (await served.call("DELETE", "/nodes/gpu-1", Authorization=f"Bearer {TOKEN}")).status == 204
    ended = await served.until(f"/stream/{session}", 410)
    assert ended.json["end_reason"] == "node_lost"
    (told,) = (await served.call("GET", "/nodes")).items
    assert (told["presence"], told["takes_sessions"]) == ("left", False)


async def test_a_node_is_told_what_is_over(
    served: Served, backend: LightBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(served, node(slot(control_port=backend.port)))
    session = (await served.call("POST", "/stream", {"id": "app", "profile": "default"}, Prefer="wait=5")).json["id"]
    unknown = "00000000-0000-4000-8000-000000000000"
    slots = [slot(control_port=backend.port, state="claimed", session_id=session)]
    slots += [slot(1, state="claimed", session_id=unknown), slot(2, state="claimed", session_id=session)]
    answer = await put(served, node(*slots))
    release: list[Json] = [{"number": 2, "session_id": session}]
    assert answer.json["release"] == release, "what is served stays; what is nowhere may have been lost by the store"
    monkeypatch.setattr("broker.api.nodes._UNKNOWN_S", 0.0)
    assert (await put(served, node(*slots))).json["release"] == [{"number": 1, "session_id": unknown}, *release]
    await served.call("DELETE", f"/stream/{session}")
    for _ in range(100):
        if (answer := await put(served, node(slots[0]))).json["release"]:
            break
        await asyncio.sleep(0.01)
    assert answer.json["release"] == [{"number": 0, "session_id": session}]


async def test_only_its_own_token_opens_a_node(served: Served) -> None:
    for token, status in ((None, 401), ("pfk_wrong", 401), (ALL_TOKEN, 200), (TOKEN, 200)):
        assert (await put(served, node(), token=token)).status == status
    assert (await put(served, node(), "gpu-2")).status == 403
    assert (await put(served, node(), "other", token=ALL_TOKEN)).status == 403
    assert (await put(served, node(), token=None)).headers["WWW-Authenticate"].startswith("Bearer")
    assert (await served.call("GET", "/stream", Authorization=f"Bearer {TOKEN}")).status == 200, "nobody is told apart"


async def test_a_token_of_a_node_opens_nothing_else() -> None:
    keys = {"root": {"sha256": digest_of("pfk_admin"), "role": "admin"}, "ann": {"sha256": digest_of("pfk_ann")}}
    async with serving(nodes=NODES, identity={"keys": keys}) as served:
        await put(served, node())
        for method, path in (("GET", "/nodes"), ("GET", "/stream"), ("GET", "/metrics")):
            assert (await served.call(method, path, Authorization=f"Bearer {TOKEN}")).status == 401
        assert (await served.call("GET", "/nodes", Authorization="Bearer pfk_ann")).status == 403
        assert (await served.call("GET", "/nodes", Authorization="Bearer pfk_admin")).status == 200
        assert (await put(served, node(), token="pfk_admin")).status == 401
        for token, status in (("pfk_wrong", 401), ("pfk_ann", 403), ("pfk_admin", 204), ("pfk_admin", 404)):
            answer = await served.call("DELETE", "/nodes/gpu-1", Authorization=f"Bearer {token}")
            assert answer.status == status


async def test_nodes_come_from_networks_that_are_allowed_and_are_in_them() -> None:
    async with serving(nodes={"tokens": TOKENS, "networks": ["10.0.0.0/8"]}, trusted_proxies="127.0.0.1") as served:
        refused = await put(served, node())
        assert refused.status == 403 and "nodes.allow_loopback" in str(refused.json["detail"])
        refused = await put(served, node(), X_Forwarded_For="192.168.0.7")
        assert refused.status == 403 and "nodes.networks" in str(refused.json["detail"])
        assert (await put(served, node(), X_Forwarded_For="10.1.0.7")).status == 200
        for host in ("169.254.169.254", "127.0.0.1", "192.168.0.7", "::ffff:127.0.0.1", "localhost", "0.0.0.0"):
            assert (await put(served, node(host=host), X_Forwarded_For="10.1.0.7")).status == 403, host
        (told,) = (await served.call("GET", "/nodes")).items
        assert told["host"] == "10.1.0.7"


async def test_without_tokens_nobody_registers(served: Served) -> None:
    async with serving(nodes={"allow_loopback": True}) as closed:
        refused = await put(closed, node())
        assert refused.status == 403 and "pixelferry key new NAME --role node" in str(refused.json["detail"])


async def test_another_machine_of_the_name_is_told() -> None:
    async with serving(nodes={**NODES, "networks": ["10.0.0.0/8"]}, trusted_proxies="127.0.0.1") as served:
        assert (await put(served, node(), X_Forwarded_For="10.1.0.7")).status == 200
        refused = await put(served, node(), X_Forwarded_For="10.1.0.8")
        assert refused.status == 409 and "a name of its own" in str(refused.json["detail"])


async def test_names_of_the_file_belong_to_the_file(tmp_path: Path, backend: LightBackend) -> None:
    file = tmp_path / "nodes.toml"
    file.write_text(
        '[nodes.gpu-1]\nhost = "127.0.0.1"\nlabels = { gpu = "l40s" }\n[[nodes.gpu-1.slots]]\nsignaling_port = 47000\n'
        f'media_port = 47001\ncontrol_port = {backend.port}\ncontrol_token = "a_token"\n'.replace(
            "a_token", "a-token-of-a-control-port"
        )
    )
    backend.token = "a-token-of-a-control-port"
    async with serving(nodes={**NODES, "file": file}, profile=ON_NODES) as served:
        assert (await put(served, node())).status == 409
        body = {"id": "app", "profile": "default"}
        session = await served.call("POST", "/stream", body, Prefer="wait=5")
        assert (session.status, backend.session_id) == (200, session.json["id"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"slots": [{}]},
        node(slot(), slot()),
        node(slot(signaling_port=80)),
        node(slot(control_port=65536)),
        node(slot(control_token="short")),
        node(slot(control_token="a token with spaces\r\nHost: x")),
        node(slot(instance="")),
        node(slot(state="dead")),
        node(slot(session_id="a b")),
        node(slot(message="x" * 701)),
        node(slot(number=64)),
        node(labels={"a b": "c"}),
        node(labels={"a": "b" * 64}),
        node(zone="a/b"),
        node(boot="x" * 65),
        node(draining="perhaps"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_place(served: Served, body: object) -> None:
    assert (await put(served, body)).status == 422
    assert (await served.call("GET", "/nodes")).items == []


@pytest.mark.parametrize("name", ["-gpu", "a" * 64, "g%20pu", "%C3%A9"])
async def test_a_name_that_is_none_is_refused(served: Served, name: str) -> None:
    assert (await put(served, node(), name)).status == 422
