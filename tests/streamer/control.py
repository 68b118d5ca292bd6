"""The broker's end of the control port."""

from collections.abc import Mapping

import aiohttp

from streamer.server import StreamServer
from streamer.source import JsonObject
from tests.streamer.client import SECRET, SESSION
from tests.streamer.conftest import TOKEN

CLAIM: JsonObject = {"session_id": SESSION, "arguments": {"stage": "a.usda"}, "backend_secret": SECRET}


async def ask(
    server: StreamServer, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
) -> tuple[int, object]:
    """Status and body of the answer."""
    authorized = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
    url = f"http://127.0.0.1:{server.control_port}{path}"
    async with (
        aiohttp.ClientSession(headers=authorized, trust_env=False) as http,
        http.request(method, url, **({"data": body} if isinstance(body, bytes) else {"json": body})) as answer,
    ):
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def claim(server: StreamServer, **changes: object) -> int:
    """Claim the backend for the test's session; the status."""
    return (await ask(server, "PUT", "/v1/session", CLAIM | changes))[0]


async def status(server: StreamServer) -> dict[str, object]:
    """`GET /v1/status`."""
    code, body = await ask(server, "GET", "/v1/status")
    assert code == 200
    assert isinstance(body, dict)
    return body
