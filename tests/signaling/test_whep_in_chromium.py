"""A WHEP backend and its own page, played in Chromium through the relay's two ports alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioice.ice
import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from playwright.async_api import Page, async_playwright

from signaling.relay import Relay
from signaling.routes import Endpoint, Route, RouteState
from signaling.settings import RelaySettings
from signaling.table import MemoryRouteTable
from tests.signaling.ports import BACKEND_HOST, SESSION, free_port, http_backend, until

PAGE = '<video id="video" autoplay muted></video><script src="/play.js"></script>'
SCRIPT = """
const candidates = [];
let resource = null;
async function trickle(candidate) {
  const [, pwd] = pc.localDescription.sdp.match(/ice-pwd:(\\S+)/);
  const lines = ["a=ice-ufrag:" + candidate.usernameFragment, "a=ice-pwd:" + pwd, "m=video 9 X Y",
    "a=mid:" + candidate.sdpMid, "a=" + candidate.candidate, ""];
  const headers = {"Content-Type": "application/trickle-ice-sdpfrag"};
  await fetch(resource, {method: "PATCH", headers, body: lines.join("\\r\\n")});
}
async function play() {
  window.configuration = await (await fetch("/api/turn")).json();
  window.pc = new RTCPeerConnection(configuration);
  pc.addTransceiver("video", {direction: "recvonly"});
  pc.ontrack = event => { video.srcObject = new MediaStream([event.track]); };
  pc.onicecandidate = ({candidate}) => candidate && (resource ? trickle(candidate) : candidates.push(candidate));
  await pc.setLocalDescription(await pc.createOffer());
  const headers = {"Content-Type": "application/sdp"};
  const response = await fetch("/whep", {method: "POST", headers, body: pc.localDescription.sdp});
  window.answer = await response.text();
  resource = response.headers.get("Location");
  await pc.setRemoteDescription({type: "answer", sdp: answer});
  for (const candidate of candidates) await trickle(candidate);
}
async function state() {
  const result = {frames: 0, remote: null};
  const stats = await pc.getStats();
  for (const report of stats.values()) {
    if (report.type === "inbound-rtp") result.frames = report.framesDecoded;
    if (report.type === "transport" && report.selectedCandidatePairId) {
      const remote = stats.get(stats.get(report.selectedCandidatePairId).remoteCandidateId);
      result.remote = remote.address + ":" + remote.port;
    }
  }
  return result;
}
async function leave() { await fetch(resource, {method: "DELETE"}); pc.close(); }
"""


class Backend:
    """Plays a picture to whoever offers."""

    def __init__(self) -> None:
        self.peers: list[RTCPeerConnection] = []
        self.heard: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        match request.method, request.path:
            case "GET", "/":
                return web.Response(text=PAGE, content_type="text/html")
            case "GET", "/play.js":
                return web.Response(text=SCRIPT, content_type="text/javascript")
            case "GET", "/api/turn":
                servers = [{"urls": ["turn:192.0.2.99"], "username": "u", "credential": "c"}]
                return web.json_response({"iceServers": servers, "iceTransportPolicy": "relay"})
            case "POST", "/whep":
                return await self._answer(request)
            case "PATCH" | "DELETE", "/whep/1":
                self.heard.append(await request.text())
                return web.Response(status=204)
            case _:
                return web.Response(status=404)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(peer)
        peer.addTrack(VideoStreamTrack())
        self.heard.append(await request.text())
        await peer.setRemoteDescription(RTCSessionDescription(self.heard[-1], "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        headers = {"Location": f"http://{request.host}/whep/1"}
        sdp = peer.localDescription.sdp
        return web.Response(status=201, text=sdp, content_type="application/sdp", headers=headers)


@asynccontextmanager
async def running(table: MemoryRouteTable) -> AsyncIterator[Relay]:
    relay = Relay(RelaySettings(close_timeout_s=0.5), table)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def frames(page: Page, count: int) -> dict[str, object]:
    async with asyncio.timeout(20):
        while True:
            state: dict[str, object] = await page.evaluate("state()")
            if int(str(state["frames"])) >= count:
                return state
            await asyncio.sleep(0.1)


@pytest.mark.system
@pytest.mark.timeout(60)
async def test_a_foreign_backend_s_own_page_plays_through_the_relay_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [BACKEND_HOST])
    backend, table = Backend(), MemoryRouteTable()
    signaling, media = free_port(), free_port()
    async with http_backend(backend) as port, running(table) as relay, chromium() as page:
        await table.publish(Route(SESSION, "relay", signaling, media, Endpoint(BACKEND_HOST, port, 47999), "secret"))
        async with asyncio.timeout(5):
            async for _ in table.changes():
                if any(report.state is RouteState.ACTIVE for report in (await table.reports()).values()):
                    break
        await page.goto(f"http://127.0.0.1:{signaling}/session/{SESSION}/")
        await page.evaluate("play()")
        state = await frames(page, 20)
        assert state["remote"] == f"127.0.0.1:{media}"
        assert BACKEND_HOST not in await page.evaluate("answer")
        assert await page.evaluate("configuration") == {"iceServers": [], "iceTransportPolicy": "all"}
        assert all(".local" not in text for text in backend.heard)
        assert relay.counters.frames_dropped.total() == relay.counters.signaling_refused.total() == 0
        await page.evaluate("leave()")
        await until(lambda: backend.heard[-1] == "")
        for peer in backend.peers:
            await peer.close()
