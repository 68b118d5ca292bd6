"""Listens to the events of all sessions as a page does: from any broker, taking up where it left off."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

import aiohttp

from tests.system.failures.recorder import Recorder

_RETRY_S = 0.2


@dataclass
class Listener:
    """`run` until cancelled. `heard` are (event's number, type, session), `resets` how often it had to begin anew."""

    recorder: Recorder
    heard: list[tuple[int, str, str]] = field(default_factory=list)
    resets: int = 0
    _last: str = ""

    async def run(self) -> None:
        """Listen to one broker until that ends, then to the next."""
        for url in cycle(self.recorder.brokers.values()):
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._listen(url)
            await asyncio.sleep(_RETRY_S)

    def sessions(self, kind: str) -> set[str]:
        """The sessions of which an event of this type was heard."""
        return {session for _, found, session in self.heard if found == kind}

    async def _listen(self, url: str) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        endless = aiohttp.ClientTimeout(total=None, sock_connect=2)
        async with self.recorder.http.get(f"{url}/events", headers=headers, timeout=endless) as stream:
            if stream.status != 200:
                return
            number, kind = "", ""
            async for raw in stream.content:
                name, _, value = raw.decode().rstrip("\r\n").partition(": ")
                if name == "id":
                    number = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    self._note(number, kind, value)

    def _note(self, number: str, kind: str, data: str) -> None:
        said = json.loads(data)
        if kind == "reset":
            self.resets += 1
        elif number.isdecimal():
            self._last = number
            self.heard.append((int(number), kind, str(said.get("session_id", ""))))
