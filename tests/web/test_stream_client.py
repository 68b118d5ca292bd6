"""The embeddable client in Chromium: before a real backend on a port of another number, and before relays that fail."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import pytest
from aiohttp import WSMsgType
from aiohttp import web as http
from playwright.async_api import Page, async_playwright

import web
from streamer.input import Blur, InputEvent, Key, PointerButton, PointerMove, Wheel
from streamer.server import StreamServer
from streamer.settings import StreamSettings
from streamer.source import Frame, JsonObject, Outbox, VideoFormat
from streamer.test_pattern import TestPattern
from tests.absence import absent
from tests.system.browser import FLAGS, chromium_path

Heard = TypeVar("Heard", bound=InputEvent)

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]

CONNECT = """async (options) => {
    const { connect } = await import("/stream-client.js");
    globalThis.heard = [];
    const videoElement = document.querySelector("video");
    try {
        const target = { sessionId: "s", host: "127.0.0.1", mediaPort: 9, videoElement };
        globalThis.stream = await connect({ ...target, ...options });
    } catch (error) {
        return { code: error.code, message: error.message, mayReconnect: error.mayReconnect };
    }
    for (const type of ["message", "notice", "error", "end"])
        stream.addEventListener(type, ({ detail }) => {
            if (detail.eventType !== "videoDelivered") heard.push([type, detail.code ?? detail]);
        });
    await new Promise((resolve) => stream.addEventListener("firstframe", resolve));
    return { width: videoElement.videoWidth, remote: (await stream.stats()).remoteAddress };
}"""
LISTEN = """async () => {
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(document.querySelector("video").srcObject).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let loudest = 0;
    for (const start = performance.now(); performance.now() - start < 6000 && loudest < 0.02; ) {
        analyser.getFloatTimeDomainData(samples);
        loudest = Math.max(loudest, ...samples);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { muted: document.querySelector("video").muted, loudest };
}"""
TIME = """async () => {
    const shown = new Set();
    const video = document.querySelector("video");
    const note = (now, { rtpTimestamp }) => { shown.add(rtpTimestamp); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    stream.sendMessage("frameTimings", { enabled: true });
    const sent = [];
    await new Promise((resolve) => stream.addEventListener("message", ({ detail }) => {
        if (detail.eventType === "frameTimings" && sent.push(...detail.payload.frames) > 60) resolve();
    }));
    stream.sendInput({ event: "keydown", code: "KeyA", key: "a", repeat: false, modifiers: 0 });
    await new Promise((resolve) => stream.addEventListener("message", ({ detail }) => {
        if (detail.eventType === "frameTimings" && detail.payload.frames.some(({ input }) => input === 0)) resolve();
    }));
    return { sent: sent.length, known: sent.filter(({ rtp }) => shown.has(rtp)).length, shown: shown.size };
}"""
PAGE = """<!doctype html><style>body { margin: 0 } video { display: block; width: 640px; height: 360px }</style>
<link rel="icon" href="data:,"><video></video>"""


class Recorder:
    """An application that keeps what it hears and shows a grey picture."""

    def __init__(self) -> None:
        self.inputs: list[InputEvent] = []
        self.outbox: Outbox | None = None

    def start(self, arguments: Mapping[str, str], outbox: Outbox) -> None:
        self.outbox = outbox

    def render(self, video: VideoFormat, at_s: float) -> Frame:
        return np.full((video.height, video.width, 3), 128, dtype=np.uint8)

    def on_input(self, event: InputEvent) -> None:
        self.inputs.append(event)

    def on_message(self, event_type: str, payload: JsonObject) -> None:
        if self.outbox is not None:
            self.outbox.send("notice", {"level": "warning", "message": f"{event_type} came"})

    def stop(self) -> None:
        self.outbox = None


class OtherPort(asyncio.DatagramProtocol):
    """Takes one client's datagrams on a port of its own, as a relay does whose signaling is opaque to it."""

    def __init__(self, backend: tuple[str, int]) -> None:
        self._backend = backend
        self._client: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        if addr == self._backend:
            if self._client is not None:
                self._transport.sendto(data, self._client)
        else:
            self._client = addr
            self._transport.sendto(data, self._backend)


@dataclass(frozen=True, slots=True)
class Backend:
    application: Recorder | TestPattern
    signaling_port: int
    media_port: int


@asynccontextmanager
async def running_backend(application: Recorder | TestPattern | None = None) -> AsyncIterator[Backend]:
    application = application or Recorder()
    server = StreamServer(
        application, StreamSettings(signaling_port=0, media_port=0, video=VideoFormat(320, 180, 30), close_timeout_s=1)
    )
    await server.open()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: OtherPort(("127.0.0.1", server.media_port)), local_addr=("127.0.0.1", 0)
    )
    try:
        yield Backend(application, server.signaling_port, transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
        await server.close()


async def failing_relay(request: http.Request) -> http.StreamResponse:
    """Closes with the code in the path once it was offered something; 0 says nothing at all."""
    session_id = request.match_info["id"]
    assert request.headers["Sec-WebSocket-Protocol"] == f"x-nv-sessionid.{session_id}"
    answer = http.WebSocketResponse(protocols=[f"x-nv-sessionid.{session_id}"])
    await answer.prepare(request)
    if code := int(session_id):
        await answer.send_json({"type": "hello", "protocol": 1, "viewer": "v", "role": "controller", "video": {}})
        await answer.send_json({"type": "of a later version of the protocol"})
        offer = await answer.receive_json()
        assert offer["type"] == "offer" and "m=video" in offer["sdp"] and "m=application" in offer["sdp"]
        await answer.close(code=code)
    async for message in answer:
        assert message.type is WSMsgType.TEXT
    return answer


@asynccontextmanager
async def running_page() -> AsyncIterator[tuple[Page, int]]:
    """A page of the client's own origin, and the port of its server, where relays fail."""
    if chromium_path() is None:
        absent("Chromium")

    async def page(request: http.Request) -> http.Response:
        return http.Response(text=PAGE, content_type="text/html")

    app = http.Application()
    app.add_routes([http.get("/", page), http.get("/session/{id}", failing_relay), http.static("/", web.ROOT)])
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
            tab = await browser.new_page()
            await tab.goto(f"http://127.0.0.1:{port}/")
            yield tab, port
            await browser.close()
    finally:
        await runner.cleanup()


async def eventually(page: Page, expression: str) -> None:
    await page.wait_for_function(expression, timeout=10_000)


async def heard_by(application: object, kind: type[Heard], count: int = 1) -> list[Heard]:
    """So many events of that kind; those of other kinds may come between, as moves do."""
    assert isinstance(application, Recorder)
    async with asyncio.timeout(10):
        while True:
            heard: list[Heard] = [event for event in application.inputs if isinstance(event, kind)]
            if len(heard) >= count:
                return heard
            await asyncio.sleep(0.01)


async def test_media_goes_to_the_port_that_the_client_was_told_though_the_answer_names_another() -> None:
    async with running_backend() as backend, running_page() as (page, _):
        ports = {"signalingPort": backend.signaling_port, "mediaPort": backend.media_port}
        seen = await page.evaluate(CONNECT, ports)
        assert seen == {"width": 320, "remote": f"127.0.0.1:{backend.media_port}"}


async def test_every_kind_of_input_reaches_the_application_with_its_place_in_the_picture() -> None:
    async with running_backend() as backend, running_page() as (page, _):
        ports = {"signalingPort": backend.signaling_port, "mediaPort": backend.media_port}
        await page.evaluate(CONNECT, ports)

        await page.mouse.move(320, 90)
        move = (await heard_by(backend.application, PointerMove))[-1]
        assert (move.x, move.y, move.buttons) == (0.5, 0.25, 0)

        await page.mouse.down()
        await page.mouse.down(button="right")
        await page.mouse.up(button="right")
        await page.mouse.up()
        pressed = await heard_by(backend.application, PointerButton, 4)
        assert [(event.down, event.button, event.buttons) for event in pressed] == [
            (True, 0, 1),
            (True, 2, 3),
            (False, 2, 1),
            (False, 0, 0),
        ]

        await page.mouse.wheel(0, 120)
        (wheel,) = await heard_by(backend.application, Wheel)
        assert (wheel.x, wheel.y, wheel.dx, wheel.dy) == (0.5, 0.25, 0, 120)

        await page.keyboard.press("Shift+A")
        keys = await heard_by(backend.application, Key, 4)
        assert [(event.down, event.code, event.key) for event in keys] == [
            (True, "ShiftLeft", "Shift"),
            (True, "KeyA", "A"),
            (False, "KeyA", "A"),
            (False, "ShiftLeft", "Shift"),
        ]

        await page.keyboard.press("Shift+Escape")
        await heard_by(backend.application, Blur)
        assert await page.evaluate("document.activeElement === document.body")


async def test_messages_notices_and_leaving_are_events() -> None:
    async with running_backend() as backend, running_page() as (page, _):
        ports = {"signalingPort": backend.signaling_port, "mediaPort": backend.media_port}
        await page.evaluate(CONNECT, ports)
        assert await page.evaluate("stream.sendMessage('ping', { n: 1 })")
        await eventually(page, "heard.length >= 2")
        await page.evaluate("stream.close()")
        notice = {"level": "warning", "message": "ping came"}
        assert await page.evaluate("[...heard, stream.state, stream.sendMessage('late')]") == [
            ["message", {"eventType": "notice", "payload": notice}],
            ["notice", notice],
            ["end", "closed"],
            "ended",
            False,
        ]
        again = await page.evaluate(CONNECT, ports)
        assert again["width"] == 320, "who left can come back"


async def test_sound_is_heard_by_a_page_that_asks_for_it() -> None:
    async with running_backend(TestPattern()) as backend, running_page() as (page, _):
        ports = {"signalingPort": backend.signaling_port, "mediaPort": backend.media_port}
        await page.evaluate(CONNECT, ports | {"audio": True})
        await page.mouse.click(10, 10)
        heard = await page.evaluate(LISTEN)
        assert heard["muted"], "a browser plays no sound before a gesture, and then no picture either"
        assert heard["loudest"] >= 0.02


async def test_page_finds_its_frames_among_the_backends_timings() -> None:
    async with running_backend(TestPattern()) as backend, running_page() as (page, _):
        ports = {"signalingPort": backend.signaling_port, "mediaPort": backend.media_port}
        await page.evaluate(CONNECT, ports)
        found = await page.evaluate(TIME)
        assert found["known"] > found["sent"] / 3, found


async def test_close_codes_are_told_apart() -> None:
    meanings = {1000: ("lost", True), 1012: ("draining", True), 4001: ("ended", False), 4003: ("refused", False)}
    async with running_page() as (page, port):
        for close_code, meaning in meanings.items():
            told = await page.evaluate(CONNECT, {"sessionId": str(close_code), "signalingPort": port})
            assert (told["code"], told["mayReconnect"]) == meaning, close_code


async def test_what_fails_is_named_with_its_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refusing = taken.getsockname()[1]  # bound and not listening: connections to it are refused
        async with running_backend() as backend, running_page() as (page, port):
            refused = await page.evaluate(CONNECT, {"signalingPort": refusing})
            assert refused["code"] == "unreachable" and f"TCP port {refusing}" in refused["message"]
            silent = await page.evaluate(CONNECT, {"sessionId": "0", "signalingPort": port, "timeoutMs": 300})
            assert silent["code"] == "no_answer"
            ports = {"signalingPort": backend.signaling_port, "mediaPort": 9, "timeoutMs": 2000}
            blocked = await page.evaluate(CONNECT, ports)
            assert blocked["code"] == "no_media" and "UDP port 9" in blocked["message"]


async def test_abort_ends_the_attempt_and_its_connection() -> None:
    async with running_page() as (page, port):
        message = await page.evaluate(
            """async (signalingPort) => {
                const { connect } = await import("/stream-client.js");
                const attempt = new AbortController();
                const target = { sessionId: "0", host: "127.0.0.1", signalingPort, mediaPort: 9 };
                setTimeout(() => attempt.abort(new Error("enough")), 100);
                return connect({ ...target, signal: attempt.signal }).catch((error) => error.message);
            }""",
            port,
        )
        assert message == "enough"
