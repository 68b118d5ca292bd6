"""Redis as the route table uses it: errors translated, streams followed on connections of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from signaling.errors import TableUnavailable
from signaling.redis_clock import RedisClock
from signaling.redis_link import Argument, RedisLink, RedisRefused, RedisUnavailable, Reply, Script
from signaling.table_texts import entries_of, items_of, pairs_of

_AT_ONCE = 500
_SPARE_S = 1.0
"""What a call that waits on the server gets beyond that."""


class TableLink:
    """Every call raises TableUnavailable. `link` stays its owner's to close."""

    def __init__(self, link: RedisLink, clock: RedisClock) -> None:
        self._clock = clock
        self._link = link
        self._siblings: set[RedisLink] = set()
        self._origin: tuple[float | None, str | None] = (None, None)

    def key(self, name: str) -> str:
        """A key of this deployment."""
        return self._link.key(name)

    async def script(self, script: Script, key: str, *arguments: Argument) -> Reply:
        """What a script returns; `key` is the name of the one that it makes the others of."""
        try:
            return await self._link.script(script, [self.key(key)], arguments)
        except RedisUnavailable as error:
            raise TableUnavailable(str(error)) from error

    async def call(self, *command: Argument) -> Reply:
        """One command's answer."""
        return (await self.calls(command))[0]

    async def calls(self, *commands: Sequence[Argument]) -> list[Reply]:
        """The answers of several commands, sent together."""
        try:
            return await self._link.calls(commands)
        except RedisUnavailable as error:
            raise TableUnavailable(str(error)) from error

    async def hash(self, name: str) -> dict[str, bytes]:
        """A whole hash, bit by bit so that nobody waits for it; it may change meanwhile."""
        found: dict[str, bytes] = {}
        cursor: Argument = 0
        while True:
            match items_of(await self.call("HSCAN", self.key(name), cursor, "COUNT", _AT_ONCE)):
                case [bytes(following), values]:
                    found |= dict(pairs_of(values))
                    if following == b"0":
                        return found
                    cursor = following
                case _:
                    raise TableUnavailable("Redis answered HSCAN with something else")

    async def look_at_clock(self) -> None:
        """Set the clock, where that is due."""
        try:
            if self._clock.is_due:
                await self._clock.sample()
        except RedisUnavailable as error:
            raise TableUnavailable(str(error)) from error

    async def origin(self) -> str | None:
        """Which server answers, and since which start of it; None where it does not tell."""
        up_since = self._link.up_since
        if up_since is None or self._origin[0] != up_since:
            try:
                told = await self._link.call("INFO", "server")
            except RedisRefused:
                told = None
            except RedisUnavailable as error:
                raise TableUnavailable(str(error)) from error
            self._origin = self._link.up_since, _run_id(told)
        return self._origin[1]

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[Stream]:
        """A connection that waits for what is added to a stream."""
        link = self._link.sibling(f"pixelferry-{key.partition(':')[0]}")
        self._siblings.add(link)
        try:
            yield Stream(link, self.key(key))
        finally:
            self._siblings.discard(link)
            await link.close()

    async def close(self) -> None:
        """End what follows a stream. Idempotent."""
        for link in list(self._siblings):
            await link.close()


class Stream:
    """Reads what is added to one stream."""

    def __init__(self, link: RedisLink, key: str) -> None:
        self._link = link
        self._key = key

    async def after(self, position: str, *, wait_s: float) -> list[tuple[str, Mapping[str, bytes]]]:
        """Ids and fields of the entries after a position, as soon as there are some; none if there are none by then."""
        wait_ms = max(round(wait_s * 1000), 1)
        command = ("XREAD", "COUNT", _AT_ONCE, "BLOCK", wait_ms, "STREAMS", self._key, position)
        try:
            reply = await self._link.call(*command, timeout_s=wait_s + _SPARE_S)
        except RedisUnavailable as error:
            raise TableUnavailable(str(error)) from error
        for stream in items_of(reply):
            match items_of(stream):
                case [_, entries]:
                    return list(entries_of(entries))
        return []


def _run_id(reply: Reply) -> str | None:
    if not isinstance(reply, bytes):
        return None
    lines = (line.partition(b":") for line in reply.splitlines())
    return next((value.decode(errors="replace") for name, _, value in lines if name == b"run_id"), None)
