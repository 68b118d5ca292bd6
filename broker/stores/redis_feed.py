"""Keeps a broker's picture of the Redis store true: the stream of changes, and a full read now and then.

Whatever was missed, was changed by hand, or was lost when Redis died, is found by the next full read.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from broker.core.events import Event
from broker.stores.epoch import EpochState
from broker.stores.faults import Fault, Faulty
from broker.stores.records import Change, Record, name_of, place_of
from broker.stores.redis_epoch import EpochKey
from broker.stores.redis_mending import SESSIONS_AT_ONCE, Mending, portions
from broker.stores.scripts import Scripts
from broker.stores.view import View
from signaling.redis_clock import RedisClock
from signaling.redis_link import RedisLink, RedisRefused, RedisUnavailable, Reply
from signaling.redis_replies import items, number, pairs, text, texts

logger = logging.getLogger(__name__)

_BLOCK_MS = 500
_CHANGES_AT_ONCE = 256
_SILENT_S = 1.0
_RETRY_S = 0.2
_REBUILT_S = 0.1
_START = "0-0"
_TYPES = {"live": b"set", "ended": b"zset", "lingering": b"zset", "pools": b"hash", "count": b"hash"}
_TYPES |= {"changes": b"stream", "epoch": b"string"}


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """`reread_s`: time between two full reads, give or take a quarter."""

    reread_s: float = 30.0


class _Gap(Exception):
    """Changes were missed."""


class Feed:
    """One broker's; `run` it."""

    def __init__(
        self,
        link: RedisLink,
        view: View,
        clock: RedisClock,
        epoch: EpochKey,
        *,
        now: Callable[[], float],
        settings: FeedSettings,
        faulty: Faulty,
    ) -> None:
        self._link = link.sibling("pixelferry-changes")
        self._base = link.key("")
        self._view = view
        self._clock = clock
        self._now = now
        self._epoch = epoch
        self._settings = settings
        self._faulty = faulty
        self._mending = Mending(self._link, view, faulty)
        self._scripts = Scripts()
        self._position, self._number, self._last_event = _START, 0, 0
        self._heard_at = 0.0
        self._progress = asyncio.Condition()
        self._is_loaded = self._is_away = False
        self._has_events = False
        self._epoch_read = ""
        self._reread = asyncio.Event()
        self.trouble = "the store was not read yet"

    @property
    def is_current(self) -> bool:
        """Whether the picture is a moment behind at most."""
        silent_s = asyncio.get_running_loop().time() - self._heard_at
        return self._is_loaded and silent_s < self._link.settings.timeout_s + _SILENT_S

    @property
    def is_away(self) -> bool:
        """Whether the store was found not to be of use, and is tried again."""
        return self._is_away

    @property
    def place(self) -> int:
        """Up to which change all are known."""
        return place_of(self._position)

    def read_again(self) -> None:
        """Have everything read again soon."""
        self._reread.set()

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Until this is so after some progress; bound it in time."""
        async with self._progress:
            await self._progress.wait_for(is_so)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._keep_up()
                except _Gap:
                    self._faulty(Fault.GAP, 1)
                except RedisUnavailable as error:
                    self._go_stale(str(error))
                    await asyncio.sleep(_RETRY_S * (1 + random.random()))  # noqa: S311
        finally:
            self.trouble, self._is_loaded, self._is_away = "the store is not followed any more", False, True
            await self._link.close()

    async def _keep_up(self) -> None:
        """Read all, then follow until it is time to read all again. Raises RedisUnavailable, _Gap."""
        await self._read_all()
        loop = asyncio.get_running_loop()
        due = loop.time() + self._settings.reread_s * random.uniform(0.75, 1.25)  # noqa: S311
        look_at = loop.time() + _BLOCK_MS / 1000
        while loop.time() < due and not self._reread.is_set():
            await self._hear()
            if loop.time() >= look_at:
                look_at = loop.time() + _BLOCK_MS / 1000
                await self._epoch.read()
                if self._epoch.known != self._epoch_read:
                    return
                if self._clock.is_due:
                    await self._clock.sample()

    def _go_stale(self, trouble: str) -> None:
        if self._is_loaded:
            logger.warning("the session store is not followed: %s", trouble)
        self.trouble, self._is_loaded, self._is_away = trouble, False, True

    async def _hear(self) -> None:
        """Wait a moment for changes, and take them in."""
        reply = await self._link.call(
            *("XREAD", "BLOCK", _BLOCK_MS, "COUNT", _CHANGES_AT_ONCE, "STREAMS", self._base + "changes"),
            self._position,
            timeout_s=self._link.settings.timeout_s + _BLOCK_MS / 1000,
        )
        for _, entries in map(items, items(reply)):
            for entry in items(entries):
                self._take(entry)
        await self._made_progress()

    def _take(self, entry: Reply) -> None:
        try:
            change = Change.parse(entry)
        except ValueError as error:
            raise _Gap from error
        if change.number != self._number + 1:
            raise _Gap
        self._position, self._number = change.stamp, change.number
        try:
            self._view.heard(change)
        except ValueError:
            self._faulty(Fault.UNREADABLE_CHANGE, 1)
            self._reread.set()

    async def _made_progress(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        async with self._progress:
            self._progress.notify_all()

    async def _read_all(self) -> None:
        """Make the picture that of the store; while data is being made anew, wait and keep the old one."""
        self._reread.clear()
        await self._see_types()
        await self._clock.sample()
        while not await self._is_whole():  # noqa: ASYNC110
            await asyncio.sleep(_REBUILT_S)
        self._view.begin_to_settle()
        await self._find_position()
        live, ended = await self._index()
        found, broken = await self._differences([*live, *ended])
        self._settle(
            found, [one for one in self._view.picture.sessions if one not in live and one not in ended], broken
        )
        lingering = await self._link.call("ZRANGE", self._base + "lingering", 0, -1, "WITHSCORES")
        until = {name_of(name): float(at) for name, at in pairs(lingering)}
        self._view.picture.linger_besides(until, self._now(), self.place)
        if not self._has_events:
            await self._read_events()
        self.trouble, self._is_loaded, self._is_away = "", True, False
        await self._made_progress()
        try:
            await self._mending.set_aside(broken)
            if await self._mending.mend(list(live), ended, self._position):
                self._reread.set()
        except RedisRefused as error:
            # One that takes no writes now, for its memory or its disk is full, can be read for all that.
            logger.warning("the session store is not mended for now: %s", error)

    async def _see_types(self) -> None:
        found = await self._link.calls([("TYPE", self._base + name) for name in _TYPES])
        for (name, wanted), kind in zip(_TYPES.items(), found, strict=True):
            if kind not in (wanted, b"none"):
                raise RedisUnavailable(
                    f"the key {self._base}{name} is no {text(wanted)} of ours but a {text(kind)}: delete it, "
                    "or set another redis.prefix"
                )

    async def _is_whole(self) -> bool:
        epoch = await self._epoch.read()
        self._epoch_read = self._epoch.known
        if epoch is not None and epoch.state is EpochState.READY:
            return True
        self._go_stale("it is new, or lost its data, and is being made ready")
        return False

    async def _find_position(self) -> None:
        base = self._base
        change, event, last = await self._link.calls(
            (
                ("HGET", base + "count", "change"),
                ("HGET", base + "count", "event"),
                ("XREVRANGE", base + "changes", "+", "-", "COUNT", 1),
            )
        )
        self._position, self._number, self._last_event = _START, number(change), number(event)
        for entry in items(last):
            try:
                found = Change.parse(entry)
            except ValueError:
                raise RedisUnavailable(f"the last entry of {base}changes is not ours: delete the key") from None
            self._position, self._number = found.stamp, found.number

    async def _index(self) -> tuple[set[str], set[str]]:
        """The ids of those that live or hold something, and of those that have ended for good."""
        live: set[str] = set()
        cursor: Reply = b"0"
        while True:
            cursor, members = items(await self._link.call("SSCAN", self._base + "live", text(cursor), "COUNT", 1000))
            live.update(texts(members))
            if cursor == b"0":
                break
        # Those that have lapsed are taken out of the index by the next session that ends, and not before.
        ended = texts(await self._link.call("ZRANGE", self._base + "ended", self._now(), "+inf", "BYSCORE"))
        return live, set(ended) - live

    async def _differences(self, session_ids: Iterable[str]) -> tuple[list[Record], list[str]]:
        """The records that are not as known, and the ids of those that are none."""
        found: list[Record] = []
        broken: list[str] = []
        for some in portions(session_ids, SESSIONS_AT_ONCE):
            stamps = text(await self._link.script(self._scripts.stamps, [self._base], some)).split(" ")
            known = self._view.picture.stamp
            others = [one for one, stamp in zip(some, stamps, strict=True) if stamp != known(one)]
            if others:
                records = await self._link.call("MGET", *(f"{self._base}session:{one}" for one in others))
                for session_id, record in zip(others, items(records), strict=True):
                    try:
                        found.append(Record.parse(session_id, record if isinstance(record, bytes) else b""))
                    except ValueError:
                        broken.append(session_id)
            self._heard_at = asyncio.get_running_loop().time()
        return found, broken

    def _settle(self, found: Sequence[Record], gone: Sequence[str], broken: Iterable[str]) -> None:
        known = self._view.picture.sessions
        lost = self._view.settle(found, [*gone, *(one for one in broken if one in known)])
        if lost:
            logger.error("%d sessions that lived are not in the store any more", lost)
            self._faulty(Fault.LOST, lost)
            self._mending.seek_strays()

    async def _read_events(self) -> None:
        """What happened before this broker began, as far as it is kept: followers of other brokers may go on here."""
        events: list[Event] = []
        first, is_over, is_whole = "-", False, False
        while not is_over:
            command = ("XRANGE", self._base + "changes", first, self._position, "COUNT", _CHANGES_AT_ONCE)
            entries = items(await self._link.call(*command))
            for entry in entries:
                try:
                    change = Change.parse(entry)
                    is_whole |= change.number == 1
                    events += change.numbered_events()
                except ValueError:
                    self._faulty(Fault.UNREADABLE_CHANGE, 1)
            is_over = len(entries) < _CHANGES_AT_ONCE
            first = first if is_over else f"({text(items(entries[-1])[0])}"
        since = 0 if is_whole else events[0].id - 1 if events else self._last_event
        self._view.events.begin_after(since)
        for event in events:
            self._view.events.keep(event)
        self._has_events = True
