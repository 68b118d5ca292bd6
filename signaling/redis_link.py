"""The one way to Redis: calls and scripts over one connection that mends itself, many calls under way at once.

Commands go out as they come and their answers come back in the same order, so that a hundred callers share a round
trip. What waits on the server (`XREAD BLOCK`) would hold up all others: it belongs on a `sibling`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1
from typing import cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from signaling.redis_connection import Address, RedisRefused, RedisUnavailable, Reply, open_connection
from signaling.redis_settings import RedisSettings

__all__ = ["Argument", "RedisLink", "RedisRefused", "RedisUnavailable", "Reply", "Script"]

logger = logging.getLogger(__name__)

Argument = str | bytes | int | float

_MOST_WAITING = 10_000
_HELD_UP_S = 0.1
_PAUSE_S = 0.2
"""After an attempt to connect that failed, calls fail for so long without another."""

_CODES: tuple[tuple[type[Exception], str], ...] = (
    (NoScriptError, "NOSCRIPT"),
    (OutOfMemoryError, "OOM"),
    (ReadOnlyError, "READONLY"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (NoPermissionError, "NOPERM"),
    (AuthenticationError, "NOAUTH"),
    (BusyLoadingError, "LOADING"),
)
"""The client takes the first word of these away, and of ERR."""

_ELSEWHERE = ("READONLY", "MASTERDOWN", "NOAUTH")
"""What a server answers that is not, or no more, the right one: the next call looks for it anew."""


@dataclass(frozen=True)
class Script:
    """A Lua script; Redis is sent its digest, and its text only where it does not know it yet."""

    source: str

    @cached_property
    def digest(self) -> str:
        """What EVALSHA calls it by."""
        return sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """One connection to Redis, opened by the first call and again after each loss. Safe to share between tasks.

    Every call raises RedisUnavailable: within `timeout_s` while Redis is away, at once where that is known already.
    A call that is cancelled or fails so may have been carried out or not.
    """

    def __init__(self, settings: RedisSettings, *, name: str = "pixelferry") -> None:
        self.settings = settings
        self._name = name
        self._wire: _Wire | None = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._moved_to: Address | None = None
        self._trouble: RedisUnavailable | None = None
        self._next_attempt_at = 0.0
        self._up_since: float | None = None

    @property
    def trouble(self) -> str | None:
        """Why Redis could not be used when it was tried last, for people; None when it could, or was never tried."""
        return None if self._trouble is None else str(self._trouble)

    @property
    def up_since(self) -> float | None:
        """The loop's time since when this connection has held; None while there is none."""
        return self._up_since if self._wire is not None and self._wire.lost is None else None

    def key(self, name: str) -> str:
        """A key of this deployment."""
        return self.settings.key(name)

    def sibling(self, name: str) -> RedisLink:
        """Another connection to the same Redis, to be closed by itself."""
        return RedisLink(self.settings, name=name)

    async def call(self, *command: Argument, timeout_s: float | None = None) -> Reply:
        """One command's answer. A command that waits on the server needs a `timeout_s` above its own."""
        (reply,) = await self.calls((command,), timeout_s=timeout_s)
        return reply

    async def calls(self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None) -> list[Reply]:
        """The answers of several commands, sent together; the first that is refused is raised."""
        limit_s = self.settings.timeout_s if timeout_s is None else timeout_s
        wire: _Wire | None = None
        try:
            async with _time_limit(limit_s):
                for _ in range(2):
                    wire = await self._opened()
                    try:
                        replies = await wire.ask(commands)
                    except _Moved as moved:
                        await self._follow(wire, moved.address)
                        continue
                    self._trouble = None
                    return replies
        except TimeoutError:
            place = self.settings.place
            hint = "; if it takes no TLS, write redis://" if place.tls and wire is None else ""
            error = RedisUnavailable(f"Redis at {place.shown} did not answer within {limit_s:g} s{hint}")
            await self._lose(wire, error)
            raise error from None
        except RedisRefused as error:
            if error.code in _ELSEWHERE:
                await self._lose(wire, error)
            self._trouble = error
            raise
        except RedisUnavailable as error:
            self._trouble = error
            raise
        raise RedisUnavailable(f"the Redis Cluster at {self.settings.place.shown} is moving our keys about")

    async def script(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Reply:
        """What a script returns."""
        rest = (len(keys), *keys, *arguments)
        try:
            return await self.call("EVALSHA", script.digest, *rest)
        except RedisRefused as error:
            if error.code != "NOSCRIPT":
                raise
        return await self.call("EVAL", script.source, *rest)

    async def check(self) -> None:
        """See that Redis is there, is what is needed and answers. Raises RedisUnavailable that tells the mend."""
        await self.call("PING")

    async def close(self) -> None:
        """Close for good; idempotent."""
        self._closed = True
        await self._lose(self._wire, RedisUnavailable("the connection to Redis was closed"))

    async def _opened(self) -> _Wire:
        if self._wire is not None and self._wire.lost is None:
            return self._wire
        async with self._opening:
            if self._wire is not None and self._wire.lost is None:
                return self._wire
            return await self._open()

    async def _open(self) -> _Wire:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise RedisUnavailable("the connection to Redis was closed")
        if self._wire is not None:
            await self._wire.close(RedisUnavailable("the connection to Redis was lost"))
            self._wire = None
        if self._trouble is not None and loop.time() < self._next_attempt_at:
            raise self._trouble
        # Set first, so that it holds for an attempt that is cut off by its caller's time limit, too.
        self._next_attempt_at = loop.time() + self.settings.timeout_s + _PAUSE_S
        at, self._moved_to = self._moved_to, None
        try:
            connection = await open_connection(self.settings, name=self._name, at=at)
        except RedisUnavailable as error:
            self._trouble = error
            self._next_attempt_at = loop.time() + _PAUSE_S
            raise
        self._next_attempt_at = 0.0
        self._wire = _Wire(connection, self._name)
        self._up_since = loop.time()
        return self._wire

    async def _follow(self, wire: _Wire, address: Address) -> None:
        """Go where a Redis Cluster keeps our keys now."""
        await self._lose(wire, RedisUnavailable("our keys were moved to another node of the Redis Cluster"))
        self._trouble, self._moved_to = None, address

    async def _lose(self, wire: _Wire | None, error: RedisUnavailable) -> None:
        self._trouble = error
        if wire is not None:
            await wire.close(error)
        if self._wire is wire:
            self._wire = None


@asynccontextmanager
async def _time_limit(limit_s: float) -> AsyncIterator[None]:
    """As `asyncio.timeout`, but an answer that is there already is read first where this process itself was held up."""
    loop = asyncio.get_running_loop()
    look_at = loop.time() + limit_s - _HELD_UP_S / 10

    def look() -> None:
        if loop.time() - look_at > _HELD_UP_S:
            clock.reschedule(loop.time() + _HELD_UP_S)

    async with asyncio.timeout(limit_s) as clock:
        looking = loop.call_at(look_at, look)
        try:
            yield
        finally:
            looking.cancel()


class _Moved(Exception):
    """Another node of a Redis Cluster has our keys."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.address = address


class _Wire:
    """One open connection, and who waits for an answer on it, in order."""

    def __init__(self, connection: AbstractConnection, name: str) -> None:
        self.lost: RedisUnavailable | None = None
        self._connection = connection
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._unsent: list[bytes] = []
        self._has_unsent = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name=f"answers to {name}")
        self._writing = asyncio.create_task(self._write(), name=f"commands of {name}")

    async def ask(self, commands: Iterable[Sequence[Argument]]) -> list[Reply]:
        """Send, and wait for the answers. Raises RedisUnavailable, _Moved."""
        if self.lost is not None:
            raise self.lost
        if len(self._waiting) >= _MOST_WAITING:
            raise RedisUnavailable(f"{_MOST_WAITING} calls wait for Redis already")
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Reply]] = []
        for command in commands:
            # Its stub knows tuples of one alone.
            self._unsent.append(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type]
            answers.append(loop.create_future())
        self._waiting.extend(answers)
        self._has_unsent.set()
        return await asyncio.gather(*answers) if len(answers) > 1 else [await answers[0]]

    async def close(self, error: RedisUnavailable) -> None:
        """Give up the connection; who waits is told. Idempotent."""
        self._end(error)
        for task in (self._reading, self._writing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _write(self) -> None:
        """Send what has come up since the last time as one piece: so Redis, too, reads many commands at once."""
        try:
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                unsent, self._unsent = self._unsent, []
                await self._connection.send_packed_command(unsent, check_health=False)
        except (RedisError, OSError) as error:
            self._end(_lost(error))

    async def _read(self) -> None:
        try:
            while True:
                await self._read_one()
        except (RedisError, OSError) as error:
            self._end(_lost(error))
        except Exception:
            logger.exception("what Redis answered could not be read")
            self._end(RedisUnavailable("what Redis answered could not be read"))
        finally:
            await self._connection.disconnect(nowait=True)

    async def _read_one(self) -> None:
        reply: Reply | Exception
        try:
            answer = await self._connection.read_response(
                disable_decoding=True, timeout=math.inf, disconnect_on_error=False
            )
            reply = cast(Reply, answer)
        except (ResponseError, BusyLoadingError, AuthenticationError) as error:
            reply = _refused(error)
        if not self._waiting:
            raise RedisError("an answer that nobody asked for")
        waiting = self._waiting.popleft()
        if waiting.done():
            return
        if isinstance(reply, Exception):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _end(self, error: RedisUnavailable) -> None:
        if self.lost is not None:
            return
        self.lost = error
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(error)


def _lost(error: Exception) -> RedisUnavailable:
    return RedisUnavailable(f"the connection to Redis was lost ({error})")


def _refused(error: Exception) -> RedisRefused | _Moved:
    if isinstance(error, MovedError):
        return _Moved((error.host, error.port))
    for kind, code in _CODES:
        if isinstance(error, kind):
            return RedisRefused(code, str(error))
    code, _, message = str(error).partition(" ")
    return RedisRefused(code, message) if code.isupper() else RedisRefused("ERR", str(error))
