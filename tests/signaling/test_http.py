"""Signaling over HTTP through a real signaling port: WHEP, JSON, long polls, pages."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from signaling.core.media_path import Side
from signaling.metrics import FrameDrop, SignalingRefusal
from signaling.settings import RelaySettings
from tests.signaling.ports import BACKEND_HOST, SECRET, SESSION, Handler, Relayed, free_port, http_backend, relayed

DATA = Path(__file__).parent.parent / "data" / "signaling"
OFFER = (DATA / "firefox-offer.sdp").read_bytes()
ANSWER = (DATA / "aiortc-answer.sdp").read_bytes().decode().replace("192.0.2.2", BACKEND_HOST)
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@asynccontextmanager
async def carried(
    handler: Handler, *, settings: RelaySettings | None = None, origins: tuple[str, ...] = ("*",)
) -> AsyncIterator[tuple[Relayed, aiohttp.ClientSession]]:
    async with (
        http_backend(handler) as backend,
        relayed(backend, settings=settings, origins=origins) as relay,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True) as client,
    ):
        yield relay, client


class Whep:
    """A WHEP backend that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.heads: list[web.BaseRequest] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.heads.append(request)
        self.requests.append((request.method, request.path_qs, await request.text()))
        match request.method:
            case "POST":
                count = sum(method == "POST" for method, _, _ in self.requests)
                headers = {
                    "Location": f"http://{request.host}/whep/resource-{count}",
                    "Link": '<stun:stun.example.net>; rel="ice-server", <turn:a?x,y>; rel="ice-server"; username="u", '
                    f'<http://{request.host}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"',
                }
                return web.Response(status=201, text=ANSWER, content_type="application/sdp", headers=headers)
            case "DELETE":
                return web.Response()
            case _:
                return web.Response(status=204)


async def test_whep_plays_through_the_relay_alone() -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        async with client.post(f"{relay.web}/whep?x=1", data=OFFER, headers=SDP) as response:
            answer = await response.text()
            assert response.status == 201
        assert response.content_type == "application/sdp"
        assert BACKEND_HOST not in answer
        assert answer.count("127.0.0.1 31001 typ host") == 2
        location = response.headers["Location"]
        assert location == f"{relay.web}/whep/resource-1"
        assert response.headers.getall("Link") == [
            f'<{relay.web}/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"'
        ]
        method, path, offer = backend.requests[0]
        assert (method, path) == ("POST", "/whep?x=1")
        assert offer.count("127.0.0.1 40001 typ host") == 1
        assert ".local" not in offer
        [media] = relay.media.paths.values()
        assert {side for side, _ in media.credentials} == {Side.CLIENT, Side.BACKEND}
        assert {address.host for address, _ in media.candidates} == {BACKEND_HOST}
        assert relay.port.signaling_open == 1

        fragment = "a=ice-ufrag:9b1c2d3e\r\na=ice-pwd:0a5d9a6f2f1e4d3c8b7a695847362514\r\nm=video 9 X Y\r\na=mid:0\r\n"
        fragment += "a=candidate:1 1 udp 99 abc.local 5 typ host\r\n"
        async with client.patch(location, data=fragment, headers=FRAGMENT) as response:
            assert response.status == 204
        assert "127.0.0.1 40001 typ host" in backend.requests[1][2]
        async with client.delete(location) as response:
            assert response.status == 200
        assert media.closed
        assert relay.port.signaling_open == 0
        assert len(relay.media.paths) == 1


async def test_each_offer_to_whep_is_a_viewer_of_its_own() -> None:
    async with carried(Whep()) as (relay, client):
        for _ in range(2):
            async with client.post(f"{relay.web}/whep", data=OFFER, headers=SDP):
                pass
        first, second = relay.media.paths.values()
        async with client.delete(f"{relay.web}/whep/resource-1"):
            pass
        assert (first.closed, second.closed) == (True, False)


async def test_a_request_with_nothing_left_for_the_backend_is_answered_by_the_relay() -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        async with client.patch(f"{relay.web}/whep/1", data="a=end-of-candidates\r\n", headers=FRAGMENT) as response:
            assert response.status == 204
    assert not backend.requests


async def test_the_backend_sees_its_own_host_and_the_viewer_s_session() -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        headers = SDP | {"Origin": "http://page.example", "Pixelferry-Role": "admin", "Cookie": "a=b", "X-Own": "1"}
        headers |= {"X-Forwarded-For": "1.2.3.4"}
        async with client.post(f"{relay.web}/whep", data=OFFER, headers=headers):
            pass
        viewer = next(iter(relay.media.paths))
    head = backend.heads[0].headers
    assert head["Host"] == f"{BACKEND_HOST}:{relay.backend_port}"
    assert head["Origin"] == f"http://{BACKEND_HOST}:{relay.backend_port}"
    assert head.getall("Pixelferry-Role") == ["controller"]
    assert (head["Pixelferry-Viewer"], head["Pixelferry-Backend-Secret"]) == (viewer, SECRET)
    assert (head["Cookie"], head["X-Own"], head["Content-Type"]) == ("a=b", "1", "application/sdp")
    assert "X-Forwarded-For" not in head


async def test_the_origin_that_a_backend_echoes_is_the_client_s_again() -> None:
    async def allow(request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Access-Control-Allow-Origin": request.headers["Origin"]})

    async with carried(allow) as (relay, client):
        async with client.options(f"{relay.web}/whep", headers={"Origin": "http://page.example"}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "http://page.example"


async def test_json_over_a_long_poll_is_edited() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def poll(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await release.wait()
        return web.json_response([{"janus": "event", "jsep": {"type": "offer", "sdp": ANSWER}}])

    async with carried(poll) as (relay, client):
        pending = asyncio.create_task(client.get(f"{relay.web}/janus/1?maxev=5").__aenter__())
        async with asyncio.timeout(5):
            await arrived.wait()
        release.set()
        [event] = await (await pending).json()
        assert "127.0.0.1 31001 typ host" in event["jsep"]["sdp"]
        assert BACKEND_HOST not in event["jsep"]["sdp"]


async def test_turn_servers_are_blanked() -> None:
    async def turn(request: web.Request) -> web.StreamResponse:
        return web.json_response({"iceServers": [{"urls": ["turn:turn.example.net"]}], "iceTransportPolicy": "relay"})

    async with carried(turn) as (relay, client), client.get(f"{relay.web}/api/turn") as response:
        assert await response.json() == {"iceServers": [], "iceTransportPolicy": "all"}


async def test_pages_pass_as_they_are_and_their_absolute_paths_are_admitted_by_a_cookie() -> None:
    page = b"<script>if (line.startsWith('candidate:1 1 udp 1 10.1.2.3 4 typ host'))</script>" + bytes(300_000)

    async def pages(request: web.Request) -> web.StreamResponse:
        kind = "text/html" if request.path == "/" else "text/javascript"
        return web.Response(body=page, content_type=kind, headers={"X-Cookie": request.headers.get("Cookie", "none")})

    async with carried(pages) as (relay, client):
        async with client.get(f"{relay.web}/") as response:
            assert await response.read() == page
        cookie = response.headers["Set-Cookie"]
        assert cookie == f"pixelferry-{relay.number}={SESSION}; Path=/; HttpOnly; SameSite=Strict"
        headers = {"Cookie": f"own=1; {cookie.partition(';')[0]}"}
        script = f"http://127.0.0.1:{relay.number}/script.js"
        async with client.get(script, headers=headers) as response:
            assert response.status == 200
            assert response.headers["X-Cookie"] == "own=1"
        for foreign in ({"Origin": "http://127.0.0.1:8080"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "x"}):
            async with client.get(script, headers=headers | foreign) as response:
                assert response.status == 403
        assert not relay.media.paths


async def test_requests_without_the_session_are_forbidden_also_on_an_admitted_connection() -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        for path, status in ((f"/session/{SESSION}/x", 204), ("/x", 403), (f"/session/{SESSION}/x", 204)):
            async with client.get(f"http://127.0.0.1:{relay.number}{path}") as response:
                assert response.status == status
    assert len(backend.requests) == 2
    assert relay.counters.signaling_refused[SignalingRefusal.WRONG_SESSION] == 1


async def test_redirects_and_refusals_of_the_backend_pass() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.path == "/old":
            return web.Response(status=302, headers={"Location": "/new"})
        return web.Response(status=409, text="busy", headers={"Retry-After": "3"})

    async with carried(refuse) as (relay, client):
        async with client.get(f"{relay.web}/old", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, f"/session/{SESSION}/new")
        async with client.get(f"{relay.web}/x") as response:
            assert (response.status, await response.text(), response.headers["Retry-After"]) == (409, "busy", "3")


async def test_an_answer_that_names_the_backend_is_not_passed() -> None:
    async def tell(request: web.Request) -> web.StreamResponse:
        return web.json_response({"host": BACKEND_HOST}, headers={"X-Served-By": f"{BACKEND_HOST}:1"})

    async with carried(tell) as (relay, client), client.get(f"{relay.web}/x") as response:
        assert response.status == 502
        assert BACKEND_HOST not in await response.text() + str(response.headers)
        assert relay.counters.frames_dropped[FrameDrop.FOREIGN_CANDIDATE] == 1


async def test_headers_that_name_the_backend_are_left_out() -> None:
    async def tell(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204, headers={"X-Served-By": BACKEND_HOST, "X-Other": "1"})

    async with carried(tell) as (relay, client), client.get(f"{relay.web}/x") as response:
        assert response.headers["X-Other"] == "1"
        assert "X-Served-By" not in response.headers


async def test_messages_beyond_the_bound_are_refused_both_ways() -> None:
    async def big(request: web.Request) -> web.StreamResponse:
        return web.json_response("x" * 5000)

    async with carried(big, settings=RelaySettings(frame_max_bytes=4096, close_timeout_s=0.5)) as (relay, client):
        async with client.post(f"{relay.web}/x", data=b"x" * 5000) as response:
            assert response.status == 413
        async with client.get(f"{relay.web}/x") as response:
            assert response.status == 502
        assert relay.counters.frames_dropped[FrameDrop.TOO_LARGE] == 2


async def test_a_compressed_request_cannot_hide_a_candidate() -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        headers = SDP | {"Content-Encoding": "gzip"}
        async with client.post(f"{relay.web}/whep", data=gzip.compress(OFFER), headers=headers) as response:
            assert response.status == 201
    assert "127.0.0.1 40001" in backend.requests[0][2]
    assert "203.0.113.9" not in backend.requests[0][2]


@pytest.mark.parametrize(
    "body",
    [
        b"sdp=v%3D0%0D%0Aa%3Dcandidate%3A1+1+udp+99+203.0.113.9+5+typ+host",
        b'{"x": "candidate\\u003a1 1 udp 99 203.0.113.9 5"}',
        b"\xffcandidate:1 1 udp 99 203.0.113.9 5 typ host",
    ],
)
async def test_a_candidate_in_a_disguise_does_not_reach_the_backend(body: bytes) -> None:
    backend = Whep()
    async with carried(backend) as (relay, client):
        async with client.post(f"{relay.web}/x", data=body) as response:
            assert response.status == 400
    assert not backend.requests


async def test_an_event_stream_is_edited_event_by_event() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        line = json.dumps({"candidate": f"candidate:1 1 udp 99 {BACKEND_HOST} 5 typ host"})
        await response.write(b"event: layers\ndata: {}\n\nevent: candi")
        await response.write(f"date\ndata: {line}\n\n".encode())
        return response

    async with carried(stream) as (relay, client), client.get(f"{relay.web}/events") as response:
        text = await response.text()
    assert text.startswith("event: layers\ndata: {}\n\nevent: candidate\ndata: ")
    assert "127.0.0.1 31001 typ host" in text


async def test_an_absent_backend_is_a_bad_gateway() -> None:
    async with relayed(free_port(BACKEND_HOST)) as relay, aiohttp.ClientSession() as client:
        async with client.get(f"{relay.web}/x") as response:
            assert response.status == 502
            assert BACKEND_HOST not in await response.text()


async def test_a_slow_body_is_given_up() -> None:
    async with carried(Whep(), settings=RelaySettings(handshake_timeout_s=0.2, close_timeout_s=0.5)) as (relay, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.number)
        writer.write(f"POST /session/{SESSION}/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nv=0".encode())
        async with asyncio.timeout(5):
            assert b" 408 " in await reader.readline()
        writer.close()


async def test_one_viewer_too_many_is_told_so() -> None:
    async with carried(Whep()) as (relay, client):
        relay.media.limit = 1
        for status in (201, 503):
            async with client.post(f"{relay.web}/whep", data=OFFER, headers=SDP) as response:
                assert response.status == status
