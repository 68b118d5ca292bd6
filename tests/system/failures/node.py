"""A light node: one process whose slots speak the control protocol and echo datagrams (docs/protocol.md, §1 to §4).

It registers itself with any of the brokers and keeps on doing so. A test asks it how its slots stand, and has single
ones crash, by a port of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

import aiohttp
from aiohttp import web

from tests.system.failures.node_slot import Echo, NodeSlot, ServesAnother, Signaling

SLOTS_FROM = 20100
ADMIN_PORT = 20000
_HEARTBEAT_WITHIN_S = 2.0


class LightNode:
    """All slots of one process, at the same ports of an address of their own."""

    def __init__(
        self, name: str, host: str, slots: int, *, token: str, labels: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.host, self.labels = name, host, dict(labels or {})
        self._token = token
        self._boot = secrets.token_hex(8)
        ports = [SLOTS_FROM + 3 * number for number in range(slots)]
        self.slots = [NodeSlot(name, number, port, port + 1, port + 2) for number, port in enumerate(ports)]
        self._by_control_port = {slot.control_port: slot for slot in self.slots}

    async def run(self, brokers: Sequence[str], *, heartbeat_s: float) -> None:
        """Serve until cancelled."""
        async with AsyncExitStack() as opened:
            await self._listen(opened)
            await self._register(brokers, heartbeat_s)

    async def _listen(self, opened: AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        for port in (ADMIN_PORT, *self._by_control_port):
            await web.TCPSite(runner, self.host, port).start()
        for slot in self.slots:
            server = await loop.create_server(partial(Signaling, slot), self.host, slot.signaling_port)
            opened.callback(server.close)
            local = (self.host, slot.media_port)
            media, _ = await loop.create_datagram_endpoint(partial(Echo, slot), local_addr=local)
            opened.callback(media.close)

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/v1/ready", self._ready),
                web.put("/v1/session", self._claim),
                web.delete("/v1/session", self._release),
                web.get("/v1/status", self._status),
                web.post("/v1/notice", self._notice),
                web.get("/slots", self._all_slots),
                web.post("/slots/{number}/crash", self._crash),
            ]
        )
        return application

    def _slot(self, request: web.Request) -> NodeSlot:
        """The slot at whose control port this came, from who has its token."""
        slot = self._by_control_port[request.get_extra_info("sockname")[1]]
        if request.headers.get("Authorization") != f"Bearer {slot.token}":
            raise web.HTTPUnauthorized
        return slot

    async def _ready(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        state = "idle" if slot.session is None else "claimed"
        told = {"state": state, "protocol": 1, "session_id": slot.session}
        return web.json_response({name: value for name, value in told.items() if value is not None})

    async def _claim(self, request: web.Request) -> web.Response:
        slot, body = self._slot(request), await request.json()
        try:
            slot.claim(body["session_id"], body["backend_secret"])
        except ServesAnother:
            return web.json_response({"detail": "This backend serves another session."}, status=409)
        _say(slot, f"serves {slot.session}")
        return await self._ready(request)

    async def _release(self, request: web.Request) -> web.Response:
        slot, meant = self._slot(request), request.query.get("session_id")
        _say(slot, f"serves {slot.session} and is to end {meant or 'whatever it is'}")
        try:
            slot.release(meant)
        except ServesAnother:
            return web.json_response({"detail": "This backend serves another session."}, status=409)
        return web.Response(status=204)

    async def _status(self, request: web.Request) -> web.Response:
        slot = self._slot(request)
        return web.json_response({"last_input_at": None, "viewers": [], "frames_sent": slot.datagrams})

    async def _notice(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def _all_slots(self, request: web.Request) -> web.Response:
        told = [
            {"number": slot.number, "session": slot.session, "datagrams": slot.datagrams, "refused": slot.refused}
            for slot in self.slots
        ]
        return web.json_response(told)

    async def _crash(self, request: web.Request) -> web.Response:
        slot = self.slots[int(request.match_info["number"])]
        session = slot.session
        _say(slot, f"serves {session} and crashes")
        slot.crash()
        return web.json_response({"session": session})

    async def _register(self, brokers: Sequence[str], heartbeat_s: float) -> None:
        """Tell any broker, again and again, beginning with the one that heard it last."""
        timeout = aiohttp.ClientTimeout(total=_HEARTBEAT_WITHIN_S)
        asked = list(brokers)
        connector = aiohttp.TCPConnector(local_addr=(self.host, 0), force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as http:
            while True:
                for broker in list(asked):
                    if await self._heard_by(http, broker):
                        break
                    asked.remove(broker)
                    asked.append(broker)
                await asyncio.sleep(heartbeat_s)

    async def _heard_by(self, http: aiohttp.ClientSession, broker: str) -> bool:
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with http.put(f"{broker}/nodes/{self.name}", json=self.registration(), headers=headers) as answer:
                if answer.status not in (200, 201, 204, 503):
                    print("refused:", answer.status, await answer.text(), flush=True)
                if answer.ok:
                    self._let_go((await answer.json()).get("release", ()))
                return answer.ok
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _let_go(self, left_behind: Sequence[Mapping[str, object]]) -> None:
        """End what brokers say is over."""
        for one in left_behind:
            slot = self.slots[int(str(one["number"]))]
            _say(slot, f"serves {slot.session} and may end {one['session_id']}, a broker says")
            with suppress(ServesAnother):
                slot.release(str(one["session_id"]))

    def registration(self) -> dict[str, object]:
        """What it says of itself."""
        slots = [
            {
                "number": slot.number,
                "signaling_port": slot.signaling_port,
                "media_port": slot.media_port,
                "control_port": slot.control_port,
                "control_token": slot.token,
                "instance": slot.instance,
                "state": "idle" if slot.session is None else "claimed",
                "session_id": slot.session,
            }
            for slot in self.slots
        ]
        return {"host": self.host, "boot": self._boot, "labels": self.labels, "slots": slots}


def _say(slot: NodeSlot, what: str) -> None:
    """For people, on the clock of the history."""
    print(f"{asyncio.get_running_loop().time():.2f} {slot.node}/{slot.number} {what}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run a node in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--label", action="append", default=[], help="name=value")
    parser.add_argument("--broker", action="append", default=[])
    parser.add_argument("--heartbeat-s", type=float, default=1)
    options = parser.parse_args(arguments)
    labels = dict(label.split("=", 1) for label in options.label)
    node = LightNode(options.name, options.host, options.slots, token=options.token, labels=labels)
    print(json.dumps({"node": node.name, "slots": len(node.slots)}), flush=True)
    asyncio.run(node.run(options.broker, heartbeat_s=options.heartbeat_s))
    return 0
