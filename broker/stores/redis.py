"""The session store that brokers share: sessions, claims, counts and events in one shard of Redis or Valkey (6.2+).

All keys of a deployment begin with `{prefix}:`; the braces put them into one slot of a Redis Cluster, so that one
script may change them all: one shard carries one deployment.

| key | type | holds | ends |
|---|---|---|---|
| `session:<id>` | string | stamp, claims, pools, JSON: a line each | with the session: an hour after it let go of all |
| `claim:<claim>` | string | the session that has it, or `~<until>` while it lingers | given up, lapsed, or with it |
| `lingering` | zset | claims that linger, by when they lapse | with the last of them |
| `pools` | hash | how many sessions count in each pool | field by field, at zero |
| `live`, `ended` | set, zset | ids of sessions; of those to be forgotten, by when | id by id |
| `changes` | stream | each write's session and events, capped | a week after the last write |
| `count` | hash | numbers of the last change and the last event | a week after the last write |
| `epoch` | string | which life of the data this is, and whether it is whole | never; some bytes |
| `catalog` | string | edits of the catalog under their revision | never; it is bounded |
| `aside:<id>` | any | what lay in a session's place and is none | after a day |
| `mending`, `probe` | string | who mends what is wrong; whether writes are taken | after seconds |

`lease` and `fence` are `broker.stores.redis_lease`'s, routes and relays `signaling.table_redis`'s.

Everything that a write does is one script (`lua/write.lua`). A stamp names the change that wrote a session; a write
must name the one that it builds upon. Redis' own clock decides what has lapsed. Each broker keeps a picture of it all
(`redis_feed`), from which come `sessions`, `claims`, `ledger`, `changes` and `events`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager

from broker.core.events import Event, EventDraft, events_between
from broker.core.ledger import Claim, Ledger
from broker.core.session import Session, evolved
from broker.errors import StoreUnavailable
from broker.stores.base import PoolFull, WriteListener, WriteRace
from broker.stores.epoch import Epoch
from broker.stores.faults import Fault, Faulty
from broker.stores.records import NOTHING, Holding, Record, name_of, pairs, place_of
from broker.stores.redis_epoch import EpochKey, written
from broker.stores.redis_feed import Feed, FeedSettings
from broker.stores.redis_mending import portions
from broker.stores.scripts import Scripts
from broker.stores.session_json import dump_events, dump_session
from broker.stores.view import View
from signaling.errors import Deposed
from signaling.redis_clock import RedisClock
from signaling.redis_link import RedisLink, RedisUnavailable, Reply

_KEPT_ENDED = 20_000
_KEPT_CHANGES = 5_000
_CHANGES_TTL_MS = 7 * 24 * 3600 * 1000
_EVENTS_AT_ONCE = 256
_TAKEN_S = 2.0
"""So long a claim that a write found taken is believed to be, while the change that took it is on its way."""

_NONE: Mapping[str, float] = {}


class RedisStore:
    """One broker's way to the shared store. `run` it; the link stays its maker's to close.

    `clock` stands in for Redis' own, for tests. `faulty` is told of faults in the stored data.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        clock: Callable[[], float] | None = None,
        kept_ended: int = _KEPT_ENDED,
        kept_changes: int = _KEPT_CHANGES,
        feed: FeedSettings | None = None,
        faulty: Faulty = lambda fault, count: None,
    ) -> None:
        self._link = link
        self._base = link.key("")
        self._local_clock = clock
        self._clock = RedisClock(link)
        self._kept_ended, self._kept_changes = kept_ended, kept_changes
        self._faulty = faulty
        self._view = View(kept_ended=kept_ended)
        self._epoch = EpochKey(link)
        self._feed = Feed(
            *(link, self._view, self._clock, self._epoch),
            now=clock or self._clock.now,
            settings=feed or FeedSettings(),
            faulty=faulty,
        )
        self._scripts = Scripts()
        self._last_event_place = 0

    async def run(self) -> None:
        await self._feed.run()

    async def check(self) -> None:
        with _told():
            await self._link.call("SET", self._base + "probe", self._view.writer, "PX", 1000)
        await self._caught_up()

    async def now(self) -> float:
        if self._local_clock is not None:
            return self._local_clock()
        if not self._clock.is_set:
            with _told():
                await self._clock.sample()
        return self._clock.now()

    async def read(self, session_id: str, *, fresh: bool = True) -> Session | None:
        if not fresh:
            await self._caught_up()
            return self._view.picture.sessions.get(session_id)
        with _told():
            return await self._read(session_id)

    async def sessions(self) -> Mapping[str, Session]:
        await self._caught_up()
        return dict(self._view.picture.sessions)

    async def claims(self) -> Mapping[str, Claim]:
        await self._caught_up()
        return dict(self._view.picture.claims)

    async def ledger(self) -> Ledger:
        await self._caught_up()
        self._view.picture.forget_found(asyncio.get_running_loop().time())
        return self._view.picture.ledger

    async def write(
        self,
        session: Session,
        *,
        linger: Mapping[str, float] | None = None,
        bounds: Mapping[str, int] | None = None,
        fence: int | None = None,
    ) -> Session:
        with _told():
            epoch = self._epoch.ready or await self._ready_epoch()
            return await self._write(session, linger or _NONE, bounds or {}, fence, epoch, tells=True)

    def listen(self, listener: WriteListener, *, of_others: bool = False) -> None:
        self._view.listen(listener, of_others=of_others)

    def changes(self, session_id: str | None = None) -> AsyncGenerator[frozenset[str], None]:
        view = self._view
        return view.changes.follow(session_id, view.picture.sessions if session_id is None else (session_id,))

    async def append(self, events: Sequence[EventDraft]) -> None:
        with _told():
            epoch = self._epoch.ready or await self._ready_epoch()
            for some in portions(events, _EVENTS_AT_ONCE):
                arguments = (epoch, dump_events(some), len(some), self._view.writer)
                reply = await self._link.script(
                    self._scripts.append, [self._base], (*arguments, self._kept_changes, _CHANGES_TTL_MS)
                )
                self._last_event_place = max(self._last_event_place, place_of(self._stamp_of(reply)))

    async def last_event_id(self) -> int:
        await self._heard_own_events()
        return self._view.events.last_id

    async def events(self, after: int, *, session_id: str | None = None) -> AsyncGenerator[tuple[Event, ...], None]:
        await self._heard_own_events()
        if after > self._view.events.last_id:
            # Another broker told of it already, or it is not of this store: then nothing is lost by the wait.
            await self._catch_up(lambda: after <= self._view.events.last_id, must=False)
        async with aclosing(self._view.events.follow(after, session_id)) as batches:
            async for batch in batches:
                yield batch

    async def epoch(self) -> Epoch | None:
        """As `Epochs` has it."""
        with _told():
            return await self._epoch.read()

    async def set_epoch(self, epoch: Epoch, *, instead_of: Epoch | None) -> bool:
        """As `Epochs` has it."""
        with _told():
            return await self._epoch.set(epoch, instead_of=instead_of)

    async def restore(self, session: Session, *, epoch: Epoch) -> Session:
        """As `Epochs` has it."""
        with _told():
            return await self._write(session, _NONE, {}, None, written(epoch), tells=False)

    def remembered(self) -> Mapping[str, Session]:
        """As `Epochs` has it."""
        return dict(self._view.picture.sessions)

    async def _read(self, session_id: str) -> Session | None:
        found, epoch = await self._link.calls(
            (("GET", f"{self._base}session:{session_id}"), ("GET", self._base + "epoch"))
        )
        self._epoch.know(epoch)
        record = self._known_or_parsed(session_id, found)
        if record is None:
            if not self._epoch.ready:
                raise _rebuilding()
            return None
        self._view.found(record)
        now = await self.now()
        gone_at = record.session.forget_at
        return None if gone_at is not None and gone_at <= now else record.session

    def _known_or_parsed(self, session_id: str, found: Reply) -> Record | None:
        """The record; None for none, and for what is none: the next full read sets that aside, and it comes at once."""
        if not isinstance(found, bytes):
            return None
        picture = self._view.picture
        stamp = picture.stamp(session_id)
        if stamp and found.startswith(stamp.encode() + b"\n"):
            return Record(stamp, picture.sessions[session_id])
        try:
            return Record.parse(session_id, found)
        except ValueError:
            self._feed.read_again()
            return None

    async def _write(
        self,
        session: Session,
        linger: Mapping[str, float],
        bounds: Mapping[str, int],
        fence: int | None,
        epoch: str,
        *,
        tells: bool,
    ) -> Session:
        before = await self._before(session) if tells else None
        picture = self._view.picture
        had = picture.holding(session.id) if before is not None else NOTHING
        after = evolved(session, revision=session.revision + 1)
        holding = Holding.of(after, had)
        events = events_between(before, after) if tells else ()
        arguments = (
            *(session.id, picture.stamp(session.id) if before is not None else "", epoch),
            *("" if fence is None else fence, holding.header, dump_session(after), pairs(bounds), pairs(linger)),
            *("" if after.forget_at is None else repr(after.forget_at), dump_events(events), len(events)),
            *("" if self._local_clock is None else repr(self._local_clock()), self._view.writer),
            *(self._kept_changes, self._kept_ended, _CHANGES_TTL_MS),
        )
        with self._view.writing(after, holding, had):
            stamp = self._stamp_of(await self._link.script(self._scripts.write, [self._base], arguments), session.id)
            self._view.wrote(after, holding, stamp, linger)
        if events:
            self._last_event_place = max(self._last_event_place, place_of(stamp))
        return after

    async def _before(self, session: Session) -> Session | None:
        """The session as it is stored, if it has that revision; raises WriteRace."""
        picture = self._view.picture
        picture.forget_what_is_due(await self.now())
        known = picture.sessions.get(session.id)
        if known is None or known.revision < session.revision:
            known = await self._read(session.id) if session.revision or known else None
        if (known.revision if known is not None else 0) != session.revision:
            raise WriteRace(f"session {session.id} was written by someone else")
        return known

    def _stamp_of(self, reply: Reply, session_id: str = "") -> str:
        """The stamp of what was written; raises what the script says instead."""
        match reply:
            case [b"ok", bytes(stamp)]:
                return stamp.decode()
            case [b"race", found]:
                record = self._known_or_parsed(session_id, found)
                if record is not None:
                    self._view.found(record)
                raise WriteRace(f"session {session_id} was written by someone else")
            case [b"taken", bytes(claim), bytes(owner)]:
                self._found_taken(name_of(claim.decode()), owner.decode())
                raise WriteRace(f"{claim.decode()} is taken")
            case [b"full", bytes(pool)]:
                raise PoolFull(name_of(pool.decode()))
            case [b"deposed"]:
                raise Deposed
            case [b"epoch"]:
                self._epoch.know(None)
                self._feed.read_again()
                raise _rebuilding()
        raise RedisUnavailable("a script answered something else than was asked for")

    def _found_taken(self, claim: str, owner: str) -> None:
        until = asyncio.get_running_loop().time() + _TAKEN_S
        self._view.picture.found_taken(claim, None if owner.startswith("~") else owner, until)

    async def _ready_epoch(self) -> str:
        await self._epoch.read()
        if not self._epoch.ready:
            raise _rebuilding()
        return self._epoch.ready

    async def _caught_up(self) -> None:
        """See that the picture is good, and has nothing in it that has lapsed. Raises StoreUnavailable."""
        if not self._feed.is_current:
            if self._feed.is_away:
                raise StoreUnavailable(reason=self._feed.trouble)
            await self._catch_up(lambda: self._feed.is_current, must=True)
        self._view.picture.forget_what_is_due(await self.now())

    async def _heard_own_events(self) -> None:
        await self._caught_up()
        if self._feed.place < self._last_event_place:
            await self._catch_up(lambda: self._feed.place >= self._last_event_place, must=True)

    async def _catch_up(self, is_so: Callable[[], bool], *, must: bool) -> None:
        """Wait until this is so, a second or two at most; raises StoreUnavailable where it must be."""
        try:
            async with asyncio.timeout(self._link.settings.timeout_s):
                await self._feed.wait_until(is_so)
        except TimeoutError:
            if must:
                raise StoreUnavailable(reason=self._feed.trouble or "changes do not come") from None


def _rebuilding() -> StoreUnavailable:
    return StoreUnavailable(reason="it is new, or lost its data, and is being made ready")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except RedisUnavailable as error:
        raise StoreUnavailable(reason=str(error)) from error


__all__ = ["Fault", "RedisStore"]
