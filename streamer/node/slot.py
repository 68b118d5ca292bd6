"""One slot of a node: a backend is kept up in it, run after run, and watched for what it does."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import aiohttp

from streamer.core.restarts import Restarts
from streamer.node.child import Child
from streamer.source import JsonObject

logger = logging.getLogger(__name__)

EXIT_PORT_TAKEN = 75
_ASK_FIRST_S = 0.05
_ASK_EVERY_S = 0.5
_ASK_TIMEOUT_S = 2.0
_START_S = 180.0
_HUNG_S = 30.0
_RELEASE_TIMEOUT_S = 5.0
_END_GRACE_S = 5.0
_MESSAGE_MOST_CHARS = 700


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """What is said of a slot. `instance` names this run of its backend."""

    number: int
    signaling_port: int
    media_port: int
    control_port: int
    control_token: str = field(repr=False)
    instance: str
    state: str = "starting"
    session_id: str | None = None
    message: str = ""

    def to_json(self, *, message_most: int) -> JsonObject:
        """As the broker wants it, the message cut to so many characters."""
        return {
            "number": self.number,
            "signaling_port": self.signaling_port,
            "media_port": self.media_port,
            "control_port": self.control_port,
            "control_token": self.control_token,
            "instance": self.instance,
            "state": self.state,
            "session_id": self.session_id,
            "message": self.message[:message_most],
        }


class Slot:
    """`changed` is called whenever `status` is another. `ports` are tried three at a time."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        http: aiohttp.ClientSession,
        *,
        host: str,
        ports: range,
        changed: Callable[[], None],
        restarts: Restarts | None = None,
    ) -> None:
        self._command = command
        self._environment = environment
        self._http = http
        self._host = host
        self._ports = ports
        self._changed = changed
        self._restarts = restarts or Restarts()
        self._refused: int | None = None
        first = ports.start
        self.status = SlotStatus(number, first, first + 1, first + 2, secrets.token_urlsafe(32), secrets.token_hex(8))

    async def run(self) -> None:
        """Keep a backend up until cancelled; it ends then."""
        loop = asyncio.get_running_loop()
        while True:
            begun, served = loop.time(), False
            message = "All ports of the slot are taken by others"
            found = next(self._free_ports(), None)
            if found is not None:
                message, served = await self._run_once(*found)
            pause_s = self._restarts.ended(loop.time() - begun, served=served)
            broken = self._restarts.broken or found is None
            logger.log(logging.WARNING if broken else logging.INFO, "slot %d: %s", self.status.number, message)
            self._tell(
                state="failed" if broken else "starting",
                instance=secrets.token_hex(8),
                session_id=None,
                message=message[:_MESSAGE_MOST_CHARS],
            )
            await asyncio.sleep(pause_s)

    async def release(self, session_id: str) -> None:
        """End a session that is over, if the backend still has that one."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            await self._call("DELETE", "/session", timeout_s=_RELEASE_TIMEOUT_S, params={"session_id": session_id})

    async def _run_once(self, signaling: int, media: int, control: int) -> tuple[str, bool]:
        """How a run of the backend ended, and whether it served anybody."""
        token = secrets.token_urlsafe(32)
        state = "failed" if self._restarts.broken else "starting"
        self._tell(signaling_port=signaling, media_port=media, control_port=control, control_token=token, state=state)
        try:
            child = await Child.start(
                f"slot {self.status.number}", self._command, self._environment_of(token), secret=token
            )
        except (OSError, ValueError) as error:
            return f"The streaming backend could not be started: {error}", False
        try:
            return await self._until_gone(child)
        finally:
            self._refused = signaling if child.status == EXIT_PORT_TAKEN else None
            await child.end(_END_GRACE_S)

    async def _until_gone(self, child: Child) -> tuple[str, bool]:
        exit_ = asyncio.create_task(child.exited(), name=f"exit of slot {self.status.number}")
        watch = asyncio.create_task(self._watch(), name=f"watch of slot {self.status.number}")
        try:
            await asyncio.wait((exit_, watch), return_when=asyncio.FIRST_COMPLETED)
            served = self.status.session_id is not None
            return (exit_.result() if exit_.done() else watch.result()), served
        finally:
            exit_.cancel()
            watch.cancel()
            await asyncio.wait((exit_, watch))

    async def _watch(self) -> str:
        """Ask what it does, again and again; returns only with what is wrong with it."""
        loop = asyncio.get_running_loop()
        heard_at, was_heard, pause_s = loop.time(), False, _ASK_FIRST_S
        while True:
            try:
                ready = await self._call("GET", "/ready", timeout_s=_ASK_TIMEOUT_S)
                self._take_ready(ready)
                heard_at, was_heard, pause_s = loop.time(), True, _ASK_EVERY_S
            except (aiohttp.ClientError, TimeoutError, OSError):
                patience_s = _HUNG_S if was_heard else _START_S
                if loop.time() - heard_at > patience_s:
                    return f"The streaming backend did not answer for {patience_s:g} s"
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.2, _ASK_EVERY_S)

    def _take_ready(self, ready: JsonObject) -> None:
        session_id = ready.get("session_id")
        state = "claimed" if ready.get("state") == "claimed" else "idle"
        self._tell(state=state, session_id=session_id if isinstance(session_id, str) else None, message="")

    async def _call(
        self, method: str, path: str, *, timeout_s: float, params: Mapping[str, str] | None = None
    ) -> JsonObject:
        host = f"[{self._host}]" if ":" in self._host else self._host
        url = f"http://{host}:{self.status.control_port}/v1{path}"
        headers = {"Authorization": f"Bearer {self.status.control_token}"}
        async with (
            asyncio.timeout(timeout_s),
            self._http.request(method, url, headers=headers, params=params, allow_redirects=False) as answer,
        ):
            answer.raise_for_status()
            body = await answer.json() if answer.content_type == "application/json" else {}
            return body if isinstance(body, dict) else {}

    def _environment_of(self, token: str) -> dict[str, str]:
        return {
            **self._environment,
            "PIXELFERRY_BACKEND_HOST": self._host,
            "PIXELFERRY_SIGNALING_PORT": str(self.status.signaling_port),
            "PIXELFERRY_MEDIA_PORT": str(self.status.media_port),
            "PIXELFERRY_CONTROL_PORT": str(self.status.control_port),
            "PIXELFERRY_CONTROL_TOKEN": token,
        }

    def _free_ports(self) -> Iterator[tuple[int, int, int]]:
        """Triples of which nobody holds any: the last one first, but last the one that a backend found taken."""
        last, refused = self.status.signaling_port, self._refused
        starts = range(self._ports.start, self._ports.stop - 2, 3)
        for start in sorted(starts, key=lambda start: (start == refused, start != last)):
            wanted = ((start, socket.SOCK_STREAM), (start + 1, socket.SOCK_DGRAM), (start + 2, socket.SOCK_STREAM))
            if all(_is_free(self._host, port, kind) for port, kind in wanted):
                yield start, start + 1, start + 2

    def _tell(self, **changes: object) -> None:
        status = replace(self.status, **changes)  # type: ignore[arg-type]
        if status != self.status:
            self.status = status
            self._changed()


def _is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
