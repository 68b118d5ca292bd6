"""Calls a broker over HTTP."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp

from broker.client.answers import Answer, JsonObject, Session, error_of, parsed_json, session_of
from broker.client.errors import ClientError, Missing, Unreachable, Usage

_CONNECT_S = 10.0
_ANSWER_S = 30.0
_EVENTS_SILENT_S = 45.0
"""The broker sends a comment every ten seconds, so one that is silent for so long is gone."""
_PAGE = 500
_LONGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """An event."""

    name: str
    data: JsonObject
    id: str | None


class NoEvents(Exception):
    """This broker tells no events, or not now: ask it from time to time."""


class Api:
    """One broker, asked in one name."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self.url = url

    async def applications(self, tags: Sequence[str] = ()) -> list[JsonObject]:
        """The catalog."""
        query = [("tags", tag) for tag in tags] + [("limit", str(_PAGE))]
        return (await self._call("GET", "/cfg/apps", query=query)).items

    async def versions(self, application: str) -> list[str]:
        """An application's versions, the one that is offered first coming first."""
        items = (await self._call("GET", f"/cfg/apps/{_quoted(application)}/versions")).items
        return [str(item.get("version", "")) for item in items]

    async def profiles(self, application: str, of_version: str) -> list[JsonObject]:
        """The profiles that serve a version, the default one first."""
        path = f"/cfg/apps/{_quoted(application)}/versions/{_quoted(of_version)}/profiles"
        return (await self._call("GET", path)).items

    async def start(
        self, application: str, *, profile: str, of_version: str | None, arguments: Mapping[str, str], key: str | None
    ) -> Session:
        """Ask for a session; one that is asked for twice with the same key is made once."""
        body: dict[str, object] = {"id": application, "profile": profile, "arguments": dict(arguments)}
        if of_version is not None:
            body["version"] = of_version
        headers = {"Idempotency-Key": key or uuid4().hex}
        return session_of((await self._call("POST", "/stream", body=body, headers=headers)).object)

    async def session(self, session_id: str, *, wait_s: float = 0) -> Session:
        """A session, ended ones included while the broker tells of them. Raises Missing."""
        headers = {"Prefer": f"wait={int(wait_s)}"} if wait_s >= 1 else {}
        answer = await self._call(
            "GET", f"/stream/{_quoted(session_id)}", headers=headers, longest_s=_ANSWER_S + wait_s, fine=(410,)
        )
        return session_of(answer.object)

    async def sessions(self) -> list[Session]:
        """All sessions that the broker shows."""
        found: list[Session] = []
        while True:
            query = [("limit", str(_PAGE)), ("offset", str(len(found)))]
            page = (await self._call("GET", "/stream", query=query)).items
            found += [session_of(item) for item in page]
            if len(page) < _PAGE:
                return found

    async def full_id(self, prefix: str) -> str:
        """The id that begins so. Raises Missing, Usage where several do."""
        if len(prefix) >= 36:
            return prefix
        found = [session.id for session in await self.sessions() if session.id.startswith(prefix)]
        if len(found) > 1:
            raise Usage(f"{len(found)} sessions begin with {prefix!r}. Write more of the id.")
        if not found:
            raise Missing(f"No session begins with {prefix!r}. `pixelferry list` shows those there are.")
        return found[0]

    async def stop(self, session_id: str) -> None:
        """End a session. Raises Missing."""
        await self._call("DELETE", f"/stream/{_quoted(session_id)}")

    async def events(self, session_id: str | None, *, after: str | None = None) -> AsyncGenerator[Heard, None]:
        """Events of one session or of all, until the stream ends. Raises NoEvents, ClientError. To be closed."""
        path = "/events" if session_id is None else f"/stream/{_quoted(session_id)}/events"
        headers = {"Accept": "text/event-stream", **({} if after is None else {"Last-Event-ID": after})}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_EVENTS_SILENT_S)
        try:
            async with self._http.get(
                self.url + path, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    answer = await _answer(response)
                    raise NoEvents from error_of(answer, self.url)
                if response.content_type != "text/event-stream":
                    raise NoEvents
                async for heard in _heard(response):
                    yield heard
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoEvents from error

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        longest_s: float = _ANSWER_S,
        fine: Sequence[int] = (),
    ) -> Answer:
        timeout = aiohttp.ClientTimeout(total=longest_s, sock_connect=_CONNECT_S)
        sent = {"Accept": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        try:
            async with self._http.request(
                method, self.url + path, params=query, data=data, headers=sent, timeout=timeout, allow_redirects=False
            ) as response:
                answer = await _answer(response)
        except TimeoutError as error:
            raise Unreachable(f"The broker at {self.url} did not answer within {longest_s:g} s.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"The broker at {self.url} cannot be reached: {_cause(error)}. Check --url.") from error
        if answer.status >= 300 and answer.status not in fine:
            raise error_of(answer, self.url)
        if answer.status != 204 and answer.body is None:
            raise Unreachable(f"What answers at {self.url} is no Pixelferry broker. Check --url.")
        return answer


@asynccontextmanager
async def calling(url: str, token: str | None) -> AsyncIterator[Api]:
    """Speak to a broker. Raises Usage for what is no address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise Usage(f"--url {url!r} is no broker's address: write one such as http://127.0.0.1:8080.")
    headers = {"User-Agent": f"pixelferry/{_release()}"}
    if token:
        if not token.isascii() or not token.isprintable():
            raise Usage("The token holds characters that no token has.")
        headers["Authorization"] = f"Bearer {token}"
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Api(http, url.rstrip("/"))


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    body = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise ClientError("The answer is longer than any broker's.")
    retry_after = response.headers.get("Retry-After", "")
    return Answer(
        response.status,
        parsed_json(body.decode(errors="replace")),
        float(retry_after) if retry_after.isdigit() else None,
    )


async def _heard(response: aiohttp.ClientResponse) -> AsyncIterator[Heard]:
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif not line and fields:
            data = parsed_json(fields.get("data", ""))
            if isinstance(data, dict):
                yield Heard(fields.get("event", "message"), data, fields.get("id"))
            fields = {}


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _cause(error: Exception) -> str:
    found = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(found, OSError) and found.errno is not None and found.errno > 0:
        return os.strerror(found.errno)
    return str(error) or type(error).__name__


def _release() -> str:
    try:
        return version("pixelferry")
    except PackageNotFoundError:
        return "0"
