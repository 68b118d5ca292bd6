"""Calls brokers and writes down each call with its answer; also what was out, from when to when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf

import aiohttp

from tests.system.failures.history import Call, CallKind, DataLoss, Flow, History, Holdings, Outage, Part
from tests.system.failures.viewer import Path

GIVE_UP_S = 12.0
"""A caller waits so long for an answer, far beyond what is allowed: a late answer is to be seen as one."""

_METHODS = {CallKind.CREATE: "POST", CallKind.GET: "GET", CallKind.DELETE: "DELETE", CallKind.LIST: "GET"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller makes use of."""

    status: int | None
    session: str | None = None
    ready: bool = False
    path: Path | None = None


@dataclass
class Recorder:
    """`brokers` are their addresses by name, `relays` the names of relays by the host that clients connect to."""

    http: aiohttp.ClientSession
    brokers: Mapping[str, str]
    relays: Mapping[str, str]
    calls: list[Call] = field(default_factory=list)
    losses: list[DataLoss] = field(default_factory=list)
    _ended: list[Outage] = field(default_factory=list)
    _running: dict[tuple[Part, str], float] = field(default_factory=dict)

    async def create(self, broker: str, key: str, profile: str, *, wait_s: int = 0) -> Answer:
        """`POST /stream`; `key` is the idempotency key, and what the session is known by in the end."""
        body = {"id": "app", "profile": profile, "version": "1.0.0", "arguments": {"key": key}}
        headers = {"Idempotency-Key": key} | ({"Prefer": f"wait={wait_s}"} if wait_s else {})
        return await self._call(CallKind.CREATE, broker, "/stream", body=body, headers=headers, key=key, wait_s=wait_s)

    async def get(self, broker: str, session: str) -> Answer:
        """`GET /stream/{id}`."""
        return await self._call(CallKind.GET, broker, f"/stream/{session}", session=session)

    async def delete(self, broker: str, session: str) -> Answer:
        """`DELETE /stream/{id}`."""
        return await self._call(CallKind.DELETE, broker, f"/stream/{session}", session=session)

    async def list(self, broker: str) -> Answer:
        """`GET /stream`."""
        return await self._call(CallKind.LIST, broker, "/stream?limit=1000")

    def began(self, part: Part, name: str) -> None:
        """This part fails from now on; one that fails already goes on to."""
        self._running.setdefault((part, name), _now())

    def ended(self, part: Part, name: str) -> None:
        """This part was seen to work again."""
        began = self._running.pop((part, name), None)
        if began is not None:
            self._ended.append(Outage(part, name, began, _now()))

    @contextmanager
    def out(self, part: Part, name: str) -> Iterator[None]:
        """This part fails as long as this lasts."""
        self.began(part, name)
        try:
            yield
        finally:
            self.ended(part, name)

    @property
    def outages(self) -> tuple[Outage, ...]:
        """All so far; those that go on have no end."""
        running = [Outage(part, name, began, inf) for (part, name), began in self._running.items()]
        return (*self._ended, *running)

    def history(self, holdings: Holdings, flows: tuple[Flow, ...]) -> History:
        """Everything, for the checker."""
        return History(tuple(self.calls), holdings, self.outages, tuple(self.losses), flows)

    def count(self, chosen: Callable[[Call], object]) -> int:
        """How many calls are such."""
        return sum(1 for call in self.calls if chosen(call))

    async def _call(
        self,
        kind: CallKind,
        broker: str,
        path: str,
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        session: str | None = None,
        key: str | None = None,
        wait_s: float = 0,
    ) -> Answer:
        began, status, said, retry_after = _now(), None, {}, False
        try:
            async with (
                asyncio.timeout(GIVE_UP_S + wait_s),
                self.http.request(_METHODS[kind], self.brokers[broker] + path, json=body, headers=headers) as answer,
            ):
                text = await answer.read()
                status, said, retry_after = answer.status, _object_of(text), "Retry-After" in answer.headers
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # no answer: written down as such
        if kind is CallKind.CREATE and status in (200, 202, 410):
            session = str(said.get("id", "")) or session
        ready = kind in (CallKind.CREATE, CallKind.GET) and status == 200
        reason = said.get("end_reason")
        self.calls.append(
            Call(
                kind,
                broker,
                began,
                _now(),
                status,
                session,
                key,
                ready=ready,
                reason=str(reason) if reason is not None else None,
                wait_s=wait_s,
                retry_after=retry_after,
            )
        )
        return Answer(status, session, ready, self._path(said) if ready else None)

    def _path(self, said: Mapping[str, object]) -> Path | None:
        """The way to a session, as the documented mount writes routes."""
        routes = said.get("routes")
        if not isinstance(routes, dict) or len(routes) != 1:
            return None
        ((host, entries),) = routes.items()
        ports = {entry["description"]: int(entry["source_port"]) for entry in entries}
        return Path(host, ports["signaling"], ports["media"], self.relays[host])


def _object_of(text: bytes) -> dict[str, object]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _now() -> float:
    return asyncio.get_running_loop().time()
