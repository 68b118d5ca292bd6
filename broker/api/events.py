"""Server-sent events: one session's, and all that the caller may see, from the present state or from where it left."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from broker.api.answers import refusal
from broker.api.auth import principal_of
from broker.api.body import parsed
from broker.api.connection import until_lost
from broker.api.models import EventsHeaders, EventsQuery, SessionPath
from broker.api.operation import Operation, Reply, described
from broker.api.representation import rfc3339
from broker.core.events import Event, EventDraft, EventType
from broker.errors import Invalid, Problem
from broker.events import Events, Reset, Told, TooSlow
from signaling.routes import Json

_HEARTBEAT_S = 10.0
"""A comment so often: proxies keep the connection, and one that went without a word is noticed."""

_SEND_S = 20.0
"""Who takes nothing for so long is cut off."""

_LONGEST_S = 900.0
"""Then the reader is asked to come back, and whoever it is shows that it still may."""

_MOST_STREAMS = 256
"""So many may be open in one principal's name; a page holds one for each session that it shows."""

_SSE = "text/event-stream"
_RETRY_MS = 1000
_RETRY_NEVER_MS = 86_400_000
_LONGEST_NUMBER = 19
_STREAM = {200: Reply("Server-sent events, until the session's end or until it is time to come back.", media_type=_SSE)}


class Closing(StrEnum):
    """Why a stream of events ends though its session has not."""

    STOPPING = "stopping"
    RENEW = "renew"
    TOO_SLOW = "too_slow"


class EventsApi:
    """`GET <mount>/{id}/events` and `GET /events`.

    `most` bounds the streams that one principal's share holds open, `longest_s` how long each is, and `send_s` how long
    a reader may take nothing.
    """

    def __init__(
        self,
        events: Events,
        *,
        mounts: Sequence[str],
        most: int = _MOST_STREAMS,
        longest_s: float = _LONGEST_S,
        send_s: float = _SEND_S,
    ) -> None:
        self._events = events
        self._mounts = mounts
        self._most = most
        self._longest_s = longest_s
        self._send_s = send_s
        self._open: Counter[str] = Counter()
        self._stopping = asyncio.Event()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """As aiohttp wants them."""
        of_one = [web.get(mount + "/{id}/events", self.of_session) for mount in self._mounts]
        return (*of_one, web.get("/events", self.of_all))

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._open.total()

    async def stop(self, application: web.Application) -> None:
        """Tell every reader to come back later, and end its stream."""
        self._stopping.set()

    @described(
        Operation(
            "listenToStream",
            "Listen to the events of a session",
            _STREAM,
            tag="Events",
            errors=(404, 422, 429),
            path=SessionPath,
            query=EventsQuery,
            headers=EventsHeaders,
        )
    )
    async def of_session(self, request: web.Request) -> web.StreamResponse:
        """Events of one session, until its end is told."""
        session_id = parsed(SessionPath, dict(request.match_info), "path").id
        told = self._events.of_session(session_id, by=principal_of(request), after=_last_event_id(request))
        return await self._stream(request, told)

    @described(
        Operation(
            "listen",
            "Listen to the events of all sessions",
            _STREAM,
            tag="Events",
            errors=(422, 429),
            query=EventsQuery,
            headers=EventsHeaders,
        )
    )
    async def of_all(self, request: web.Request) -> web.StreamResponse:
        """Events of all sessions that the caller may see."""
        return await self._stream(request, self._events.of_all(by=principal_of(request), after=_last_event_id(request)))

    async def _stream(self, request: web.Request, news: AsyncGenerator[Told, None]) -> web.StreamResponse:
        share = principal_of(request).share
        if self._open[share] >= self._most:
            detail = f"You hold {self._most} streams of events open, as many as allowed. Close one first."
            return refusal(429, detail, retry_after_s=_HEARTBEAT_S)
        with self._counted(share):
            async with aclosing(news):
                first = await anext(news)  # refusals come before the stream does
                response = EventSourceResponse(sep="\n", ping_interval=_HEARTBEAT_S, send_timeout=self._send_s)
                with suppress(ConnectionError, TimeoutError):
                    await response.prepare(request)
                    async with response:
                        closing = await self._tell_while_it_may(request, response, first, news)
                        if closing is not None:
                            data = json.dumps({"reason": closing.value})
                            await response.send(data, event="closing", retry=_RETRY_MS)
        return response

    @contextmanager
    def _counted(self, share: str) -> Iterator[None]:
        self._open[share] += 1
        try:
            yield
        finally:
            self._open[share] -= 1
            if not self._open[share]:
                del self._open[share]

    async def _tell_while_it_may(
        self, request: web.Request, response: EventSourceResponse, first: Told, news: AsyncGenerator[Told, None]
    ) -> Closing | None:
        """Tell until the news end, the reader goes, the broker stops or time is up; why, if the reader is to know."""
        telling = asyncio.create_task(_tell(response, first, news), name="events")
        silent = asyncio.create_task(response.wait(), name="heartbeat of events")
        lost = asyncio.create_task(until_lost(request), name="reader of events")
        stopping = asyncio.create_task(self._stopping.wait(), name="end of events")
        tasks = (telling, silent, lost, stopping)
        try:
            await asyncio.wait(tasks, timeout=self._longest_s, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                return telling.result()
            if silent.done() or lost.done():
                return None
            return Closing.STOPPING if stopping.done() else Closing.RENEW
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _tell(response: EventSourceResponse, told: Told, news: AsyncGenerator[Told, None]) -> Closing | None:
    """Send what is told; the last part of it carries the number to come back with."""
    await _send(response, told)
    try:
        async for told in news:
            await _send(response, told)
    except TooSlow:
        return Closing.TOO_SLOW
    return None


async def _send(response: EventSourceResponse, told: Told) -> None:
    if not told.news:
        await response.write(b": nothing new\n\n")  # the reader sees that it is connected
    for item in told.news:
        wire = _wire(item)
        number = told.upto if item is told.news[-1] else wire.number
        await response.send(
            json.dumps(wire.data), id=None if number is None else str(number), event=wire.name, retry=wire.retry_ms
        )


@dataclass(frozen=True, slots=True)
class _Wire:
    name: str
    data: dict[str, Json]
    number: int | None
    retry_ms: int | None


def _wire(item: Reset | EventDraft | Event) -> _Wire:
    """An item as it is sent; nobody is to come back by itself after the end."""
    match item:
        case Reset(reason, sessions):
            return _Wire("reset", {"reason": reason.value, "sessions": sessions}, None, _RETRY_MS)
        case Event(number, draft):
            return replace(_wire(draft), number=number)
        case EventDraft(kind):
            return _Wire(kind.value, _shown(item), None, _RETRY_NEVER_MS if kind is EventType.ENDED else None)
        case _:
            assert_never(item)


def _shown(draft: EventDraft) -> dict[str, Json]:
    """An event on the wire; times as text."""
    shown: dict[str, Json] = {"session_id": draft.session_id, "owner": draft.owner, "at": rfc3339(draft.at)}
    for key, value in draft.data.items():
        shown[key] = rfc3339(value) if key.endswith("_at") and isinstance(value, int | float) else value
    return shown


def _last_event_id(request: web.Request) -> int | None:
    """Where the reader left off: `Last-Event-ID`, or the query's `after` for who cannot set headers. Raises Invalid."""
    for place, text in (("header", request.headers.get("Last-Event-ID")), ("query", request.query.get("after"))):
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
            name = "Last-Event-ID" if place == "header" else "after"
            raise Invalid((Problem((place, name), "Should be the id of an event", "int_parsing"),))
        return int(text)
    return None
