"""Tells brokers of a node: at once when it changed, else as often as they ask for, until it says goodbye."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from streamer.node.settings import NodeOptions
from streamer.source import JsonObject

logger = logging.getLogger(__name__)

_ANSWER_WITHIN_S = 5.0
_FIRST_RETRY_S = 0.2
_LONGEST_RETRY_S = 3.0
_REFUSED_RETRY_S = 10.0
_HEARTBEAT_S = 3.0
_TOGETHER_S = 0.02
"""Changes within so long are told as one."""


@dataclass(eq=False)
class Refused(Exception):
    """The broker will not have this node as it is."""

    status: int
    detail: str

    def __str__(self) -> str:
        return f"The broker refuses this node ({self.status}): {self.detail}"


class NotHeard(Exception):
    """No broker answered; asking again may help."""


class Registration:
    """`says` returns what the node is now; `release` is called with a slot's number and a session that is over."""

    def __init__(
        self,
        options: NodeOptions,
        http: aiohttp.ClientSession,
        says: Callable[[], JsonObject],
        release: Callable[[int, str], None],
    ) -> None:
        self._options = options
        self._http = http
        self._says = says
        self._release = release
        self._tls = ssl.create_default_context(cafile=options.ca_file) if options.ca_file else True
        self._news = asyncio.Event()
        self._broker = 0
        self._told_trouble = ""
        self.is_known = False

    def tell(self) -> None:
        """The node changed."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled. Raises Refused where the broker refused it from the first."""
        heartbeat_s, failures = _HEARTBEAT_S, 0
        while True:
            self._news.clear()
            try:
                heartbeat_s, failures = await self._register(), 0
            except NotHeard as error:
                failures += 1
                self._complain(str(error))
            except Refused as error:
                if not self.is_known:
                    raise
                failures = 1
                self._complain(str(error))
                await asyncio.sleep(_REFUSED_RETRY_S)
            retry_s = min(_FIRST_RETRY_S * 2.0 ** min(failures - 1, 8), _LONGEST_RETRY_S)
            await self._pause(retry_s if failures else heartbeat_s)

    async def leave(self) -> None:
        """Say goodbye. Raises NotHeard, Refused."""
        for _ in self._options.brokers:
            try:
                await self._ask("DELETE", None)
                return
            except NotHeard:
                self._broker += 1
        raise NotHeard("no broker heard this node's goodbye: it will be missed after a while")

    async def _register(self) -> float:
        """Returns how long until the next time. Raises NotHeard, Refused."""
        troubles = []
        for _ in self._options.brokers:
            try:
                answer = await self._ask("PUT", self._says())
                break
            except NotHeard as error:
                troubles.append(str(error))
                self._broker += 1
        else:
            raise NotHeard("; ".join(dict.fromkeys(troubles)))
        if not self.is_known or self._told_trouble:
            logger.info("registered as node %s with %s", self._options.name, self._url())
        self.is_known, self._told_trouble = True, ""
        self._take_releases(answer.get("release"))
        heartbeat_s = answer.get("heartbeat_s")
        return max(float(heartbeat_s), 0.05) if isinstance(heartbeat_s, int | float) else _HEARTBEAT_S

    def _take_releases(self, releases: object) -> None:
        for item in releases if isinstance(releases, list) else ():
            number, session_id = (item.get("number"), item.get("session_id")) if isinstance(item, Mapping) else (0, 0)
            if isinstance(number, int) and isinstance(session_id, str):
                self._release(number, session_id)

    async def _ask(self, method: str, body: JsonObject | None) -> JsonObject:
        """Raises NotHeard, Refused."""
        headers = {"Authorization": f"Bearer {self._options.token}"}
        try:
            async with (
                asyncio.timeout(_ANSWER_WITHIN_S),
                self._http.request(
                    method, self._url(), json=body, headers=headers, allow_redirects=False, ssl=self._tls
                ) as answer,
            ):
                return _taken(answer.status, await _body(answer))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NotHeard(f"{self._url()} cannot be reached ({type(error).__name__}: {error})") from error

    def _url(self) -> str:
        brokers = self._options.brokers
        return f"{brokers[self._broker % len(brokers)]}/nodes/{self._options.name}"

    def _complain(self, trouble: str) -> None:
        """Once for each kind of trouble."""
        if trouble != self._told_trouble:
            self._told_trouble = trouble
            logger.warning("%s; tried again", trouble)

    async def _pause(self, seconds: float) -> None:
        """Until there is news, at most so long, and not at the same moment as everybody else."""
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.0)):  # noqa: S311
                await self._news.wait()
            await asyncio.sleep(_TOGETHER_S)
        except TimeoutError:
            pass


async def _body(answer: aiohttp.ClientResponse) -> JsonObject:
    try:
        body = await answer.json(content_type=None)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _taken(status: int, body: JsonObject) -> JsonObject:
    """The answer's body. Raises NotHeard, Refused."""
    detail = body.get("detail", "it gives no reason")
    if status < 300:
        return body
    if status in (408, 429) or status >= 500:
        raise NotHeard(f"the broker answered {status}: {detail}")
    raise Refused(status, str(detail))
