"""Reads server-sent events as a browser would, over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.broker.api.serving import JsonObject, Served


@dataclass(frozen=True, slots=True)
class Heard:
    name: str
    data: JsonObject
    id: str | None
    retry: str | None


class EventReader:
    """One open stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Heard | None:
        """The next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for raw in self.response.content:
                line = raw.decode().rstrip("\n")
                if not line and fields:
                    data = json.loads(fields["data"])
                    return Heard(fields["event"], data, fields.get("id"), fields.get("retry"))
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
        return None

    async def take(self, count: int) -> list[Heard]:
        """So many events."""
        heard: list[Heard] = []
        for _ in range(count):
            event = await self.next()
            assert event is not None, heard
            heard.append(event)
        return heard

    async def until(self, name: str) -> list[Heard]:
        """All events up to the first of this name."""
        heard: list[Heard] = []
        while not heard or heard[-1].name != name:
            heard += await self.take(1)
        return heard

    async def rest(self) -> list[Heard]:
        """All events up to the end of the stream."""
        heard: list[Heard] = []
        while (event := await self.next()) is not None:
            heard.append(event)
        return heard


@asynccontextmanager
async def listening(served: Served, path: str, **headers: str) -> AsyncIterator[EventReader]:
    """A stream that was opened; `headers` with underscores for dashes."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with served.http.get(served.url + path, headers=sent) as response:
        assert response.status == 200, await response.text()
        yield EventReader(response)
