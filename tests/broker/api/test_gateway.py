"""Behind a real nginx, in the configurations that docs/gateway.md shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from tests.broker.api.nginx import free_port, running_nginx
from tests.broker.api.serving import Answer, Served, serving

BODY = {"id": "app", "profile": "default", "version": "latest"}


@pytest.fixture
async def stripped(tmp_path: Path) -> AsyncIterator[Served]:
    """The broker as it is reached through a gateway that takes the prefixes off."""
    async with (
        serving(trusted_proxies="127.0.0.1") as served,
        running_nginx("nginx.conf", tmp_path, broker_port=served.port) as port,
    ):
        yield replace(served, port=port)


async def test_the_deployed_dialect_is_kept_though_the_prefix_is_taken_off(stripped: Served) -> None:
    created = await stripped.call("POST", "/streaming/stream", BODY)
    assert created.status == 202
    assert created.json["routes"] == {}
    assert created.headers["Location"] == f"/streaming/stream/{created.json['id']}"
    ready = await stripped.until(created.headers["Location"], 200)
    (host,) = ready.json["routes"].values()  # type: ignore[union-attr]
    assert {entry["description"] for entry in host["routes"]} == {"signaling", "media"}  # type: ignore[index, call-overload, union-attr]
    (item,) = (await stripped.call("GET", "/streaming/stream")).items
    assert item["routes"] == ready.json["routes"]
    assert (await stripped.call("DELETE", "/streaming/stream", {"id": created.json["id"]})).status == 204
    assert (await stripped.call("GET", created.headers["Location"])).status == 404


async def test_the_documented_mount_keeps_its_own_shape(stripped: Served) -> None:
    ready = await stripped.start("/stream")
    assert ready.status == 200
    (entries,) = ready.json["routes"].values()  # type: ignore[union-attr]
    assert isinstance(entries, list)


async def test_the_applications_are_read_through_it(stripped: Served) -> None:
    for path in ("/applications/cfg/apps", "/cfg/apps"):
        assert [item["id"] for item in (await stripped.call("GET", path)).items] == ["app", "other"]


@pytest.mark.parametrize("base", ["/streaming", "/applications"])
async def test_the_live_documentation_stands_where_the_products_does(stripped: Served, base: str) -> None:
    page = await stripped.call("GET", f"{base}/docs")
    assert page.status == 200 and b"swagger-ui" in page.body
    assert (await stripped.call("GET", f"{base}/docs/page.js")).status == 200
    document = await stripped.call("GET", f"{base}/openapi.json")
    assert [server["url"] for server in document.json["servers"]] == [base]  # type: ignore[index, union-attr, call-overload]


async def test_errors_stay_json_and_cors_stays(stripped: Served) -> None:
    origin = "http://localhost:5173"
    for answer in (
        await stripped.call("GET", "/streaming/nowhere", Origin=origin),
        await stripped.call("GET", "/streaming/stream/1", Origin=origin),
        await stripped.call("POST", "/streaming/stream", None, b" " * 100_000, Origin=origin),
        await stripped.call("OPTIONS", "/streaming/stream", Origin=origin, Access_Control_Request_Method="POST"),
    ):
        assert answer.headers.get("Access-Control-Allow-Origin") == origin, answer
        assert answer.status == 204 or set(answer.json) == {"detail"}


async def test_a_broker_that_is_away_is_told_as_json_with_when_to_come_back(tmp_path: Path) -> None:
    async with running_nginx("nginx.conf", tmp_path, broker_port=free_port()) as port, serving() as served:
        answer = await replace(served, port=port).call("GET", "/streaming/stream")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert set(answer.json) == {"detail"}


PEOPLE = {"Bearer of-alice": ("alice", "staff"), "Bearer of-root": ("root", "staff,pixelferry-admins")}


@asynccontextmanager
async def oauth2_proxy() -> AsyncIterator[int]:
    """What oauth2-proxy answers to nginx's question, for two people that it knows."""

    async def auth(request: web.Request) -> web.Response:
        known = PEOPLE.get(request.headers.get("Authorization", ""))
        if known is None:
            return web.Response(status=401)
        return web.Response(status=202, headers={"X-Auth-Request-User": known[0], "X-Auth-Request-Groups": known[1]})

    application = web.Application()
    application.router.add_get("/oauth2/auth", auth)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


GATEWAY = {
    "user_header": "X-Auth-Request-User",
    "role_header": "X-Auth-Request-Groups",
    "admin_values": ["pixelferry-admins"],
}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    """The broker as it is reached through a gateway that authenticates."""
    async with (
        serving(trusted_proxies="127.0.0.1", identity={"gateway": GATEWAY}, edit_applications=True) as served,
        oauth2_proxy() as auth_port,
        running_nginx("nginx-auth.conf", tmp_path, broker_port=served.port, auth_port=auth_port) as port,
    ):
        yield replace(served, port=port)


async def test_whom_the_gateway_does_not_know_gets_no_further(guarded: Served) -> None:
    for answer in (
        await guarded.call("GET", "/streaming/stream"),
        await guarded.call("GET", "/streaming/stream", Authorization="Bearer made-up"),
        await guarded.call("GET", "/streaming/stream", X_Auth_Request_User="root"),
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert set(answer.json) == {"detail"}
    assert (await guarded.call("GET", "/healthz")).status == 200


async def test_whom_it_knows_is_the_owner_whatever_else_the_request_says(guarded: Served) -> None:
    made = await guarded.call(
        "POST", "/stream", BODY, Authorization="Bearer of-alice", X_Auth_Request_User="root", Prefer="wait=10"
    )
    assert (made.status, made.json["owner"]) == (200, "alice")
    listed = await guarded.call("GET", "/stream", Authorization="Bearer of-root")
    assert [item["owner"] for item in listed.items] == ["alice"]


async def test_its_groups_say_who_is_an_admin(guarded: Served) -> None:
    async def make(authorization: str) -> Answer:
        return await guarded.call("POST", "/cfg/apps", {"id": "new"}, Authorization=authorization)

    assert (await make("Bearer of-alice")).status == 403
    refused = await guarded.call(
        "DELETE", "/cfg/apps/app", Authorization="Bearer of-alice", X_Auth_Request_Groups="pixelferry-admins"
    )
    assert refused.status == 403
    assert (await make("Bearer of-root")).status == 201


async def test_a_preflight_needs_no_credentials(guarded: Served) -> None:
    origin = "https://portal.example.com"
    answer = await guarded.call("OPTIONS", "/streaming/stream", Origin=origin, Access_Control_Request_Method="POST")
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://portal.example.com")
