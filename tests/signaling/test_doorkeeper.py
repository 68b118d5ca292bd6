"""Admission by token through a real signaling port: WebSockets, HTTP and bytes that cannot be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Request
from websockets.typing import Subprotocol

from signaling.metrics import SignalingRefusal
from signaling.routes import Admission, SignalingKind
from signaling.tokens import ViewerRole
from tests.signaling.admission_tokens import new_key, public, token_of
from tests.signaling.ports import BACKEND_HOST, SESSION, Relayed, free_port, http_backend, relayed

KEY = new_key()
KEYS = (public(KEY),)
SESSION_PROTOCOL = Subprotocol(f"x-nv-sessionid.{SESSION}")


class Backend:
    """A WebSocket backend that keeps the heads it was sent."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.requests.append(connection.request)
        async for message in connection:
            await connection.send(message)


@asynccontextmanager
async def guarded(backend: Backend) -> AsyncIterator[Relayed]:
    port = free_port(BACKEND_HOST)
    async with (
        serve(backend, BACKEND_HOST, port),
        relayed(port, admission=Admission.TOKEN, keys=KEYS) as relay,
    ):
        yield relay


def offering(token: str) -> list[Subprotocol]:
    return [SESSION_PROTOCOL, Subprotocol(f"Authorization-Bearer.{token}")]


async def echoed(client: ClientConnection) -> None:
    await client.send("ferry")
    assert await client.recv() == "ferry"


@pytest.mark.parametrize("role", ViewerRole)
async def test_a_token_lets_its_bearer_in_and_the_backend_sees_the_role_but_no_token(role: ViewerRole) -> None:
    backend, token = Backend(), token_of(KEY, role=role)
    async with guarded(backend) as relay:
        async with connect(relay.url, subprotocols=offering(token), proxy=None) as client:
            assert client.subprotocol == SESSION_PROTOCOL
            await echoed(client)
        headers = {"Authorization": f"Bearer {token}", "Pixelferry-Role": "controller"}
        async with connect(relay.url, additional_headers=headers, proxy=None) as client:
            await echoed(client)
    for request in backend.requests:
        assert request.headers.get_all("Pixelferry-Role") == [role]
        assert "Authorization" not in request.headers
        assert token not in str(request)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: None, SignalingRefusal.NO_TOKEN),
        (lambda: token_of(new_key()), SignalingRefusal.BAD_TOKEN),
        (lambda: token_of(KEY, session="another"), SignalingRefusal.BAD_TOKEN),
        (lambda: token_of(KEY, age_s=400), SignalingRefusal.EXPIRED_TOKEN),
    ],
)
async def test_a_program_is_refused_by_403_and_a_page_by_4003_each_with_the_reason(
    made: Callable[[], str | None], reason: SignalingRefusal
) -> None:
    backend, token = Backend(), made()
    protocols = [SESSION_PROTOCOL] if token is None else offering(token)
    async with guarded(backend) as relay:
        with pytest.raises(InvalidStatus) as refused:
            await connect(relay.url, subprotocols=protocols, proxy=None)
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["reason"] == reason
        page = await connect(relay.url, subprotocols=protocols, origin="http://localhost", proxy=None)  # type: ignore[arg-type]
        assert page.subprotocol == SESSION_PROTOCOL
        with pytest.raises(ConnectionClosedError) as closed:
            await page.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4003
        assert closed.value.rcvd.reason.startswith(f"{reason}: ")
        assert relay.counters.signaling_refused[reason] == 2
        assert not relay.media.paths
    assert not backend.requests


async def test_a_page_whose_handshake_is_none_gets_400() -> None:
    async with guarded(Backend()) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        lines = [f"GET /session/{SESSION} HTTP/1.1", "Host: r", "Upgrade: websocket", "Origin: http://localhost"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 4")
        writer.close()


async def test_requests_over_http_carry_their_token_each() -> None:
    seen: list[web.BaseRequest] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.json_response({"ok": True})

    async with (
        http_backend(note) as port,
        relayed(port, admission=Admission.TOKEN, keys=KEYS) as relay,
        aiohttp.ClientSession() as client,
    ):
        token = token_of(KEY, role=ViewerRole.VIEWER)
        for value, status in ((f"Bearer {token}", 200), ("Bearer x", 403), (f"Bearer {token}", 200)):
            async with client.get(f"{relay.web}/offer", headers={"Authorization": value}) as answer:
                assert answer.status == status
        async with client.get(f"{relay.web}/offer?token={token}") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (403, "no_token")
    assert [request.headers["Pixelferry-Role"] for request in seen] == ["viewer", "viewer"]
    assert not any("Authorization" in request.headers for request in seen)


async def test_opaque_signaling_takes_controllers_alone() -> None:
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"hello")
        writer.close()

    async def asked(relay: Relayed, role: ViewerRole) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        token = token_of(KEY, role=role)
        writer.write(f"GET /session/{SESSION} HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer

    port = free_port(BACKEND_HOST)
    async with (
        await asyncio.start_server(note, BACKEND_HOST, port),
        relayed(port, signaling=SignalingKind.OPAQUE, admission=Admission.TOKEN, keys=KEYS) as relay,
    ):
        assert await asked(relay, ViewerRole.CONTROLLER) == b"hello"
        assert b'"viewer_role"' in await asked(relay, ViewerRole.VIEWER)
    assert len(heads) == 1
    assert b"Pixelferry-Role: controller\r\n" in heads[0] and b"Bearer" not in heads[0]
