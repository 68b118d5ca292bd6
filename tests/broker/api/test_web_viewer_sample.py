"""NVIDIA's web-viewer-sample against the deployed mount: its calls in its order, read as it reads them."""

from __future__ import annotations

import asyncio
from typing import cast

from tests.broker.api.serving import JsonObject, SaidProvider, Served, serving

JSON_HEADERS = {"Content-Type": "application/json"}
"""It sends this with every call, GET too, so that a browser asks for leave before each."""

ORIGIN = "http://localhost:5173"


async def preflighted(served: Served, method: str, path: str, body: object = None) -> tuple[int, JsonObject]:
    """A call as a browser makes it for a page of another origin; its status and body, if it may read them."""
    asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "content-type"}
    leave = await served.call("OPTIONS", path, Origin=ORIGIN, **asked)  # type: ignore[arg-type]
    assert leave.status in (200, 204)
    assert leave.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    assert method in leave.headers["Access-Control-Allow-Methods"]
    assert "content-type" in leave.headers["Access-Control-Allow-Headers"].lower()
    answer = await served.call(method, path, body, None, Origin=ORIGIN, **JSON_HEADERS)
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    return answer.status, answer.json if answer.body else {}


def first(answer: JsonObject) -> JsonObject:
    return cast(list[JsonObject], answer["items"])[0]


def shows_as_pending(answer: JsonObject) -> bool:
    """It takes any non-empty `routes` for a stream that is ready."""
    return not cast(JsonObject, answer["routes"])


async def test_the_samples_calls_lead_to_a_stream_and_end_it() -> None:
    provider = SaidProvider()
    provider.hold = True
    async with serving(provider=provider) as served:
        _, applications = await preflighted(served, "GET", "/cfg/apps")
        application = str(first(applications)["id"])
        _, versions = await preflighted(served, "GET", f"/cfg/apps/{application}/versions")
        version = str(first(versions)["version"])
        _, profiles = await preflighted(served, "GET", f"/cfg/apps/{application}/versions/{version}/profiles")
        profile = str(first(profiles)["id"])

        asked = {"id": application, "version": version, "profile": profile}
        status, made = await preflighted(served, "POST", "/streaming/stream", asked)
        assert status == 202 and shows_as_pending(made)
        stream = f"/streaming/stream/{made['id']}"
        status, polled = await preflighted(served, "GET", stream)
        assert status == 202 and shows_as_pending(polled)

        provider.go_on()
        for _ in range(500):
            status, polled = await preflighted(served, "GET", stream)
            if status == 200:
                break
            await asyncio.sleep(0.01)
        assert status == 200
        routes = cast(dict[str, JsonObject], polled["routes"])
        server = next(iter(routes))
        entries = cast(list[JsonObject], routes[server]["routes"])
        ports = {str(entry["description"]): entry["source_port"] for entry in entries}
        assert server == "127.0.0.1"
        assert all(isinstance(ports[name], int) for name in ("signaling", "media"))

        assert (await preflighted(served, "GET", stream))[0] == 200
        assert (await preflighted(served, "DELETE", "/streaming/stream", {"id": made["id"]}))[0] == 204
        assert (await preflighted(served, "GET", stream))[0] == 404
