"""What the Redis form does that needs several brokers, or a Redis that others reach too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from broker.core.events import Event
from broker.core.ledger import Claim
from broker.core.session import EndReason, Session, State, ended
from broker.errors import StoreUnavailable
from broker.stores.base import PoolFull, WriteRace
from broker.stores.epoch import Epoch, EpochState
from broker.stores.faults import Fault
from broker.stores.redis import RedisStore
from broker.stores.redis_feed import FeedSettings
from signaling.errors import Deposed
from signaling.redis_link import RedisLink
from signaling.redis_settings import RedisSettings
from tests.broker.samples import SLOT, make_session, session_id, with_ports
from tests.broker.stores.forms import READY, redis_store

NEXT = Epoch("next", EpochState.REBUILDING)


@dataclass
class Broker:
    """A store, and the faults that it found."""

    store: RedisStore
    faults: list[Fault] = field(default_factory=list)


@pytest.fixture
async def link(redis_settings: RedisSettings) -> AsyncIterator[RedisLink]:
    """Somebody else at the same Redis."""
    link = RedisLink(redis_settings)
    yield link
    await link.close()


@asynccontextmanager
async def brokers(settings: RedisSettings, count: int, *, reread_s: float = 30.0) -> AsyncIterator[list[Broker]]:
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            faults: list[Fault] = []
            store = await stack.enter_async_context(
                redis_store(
                    settings,
                    feed=FeedSettings(reread_s=reread_s),
                    faulty=lambda fault, number, faults=faults: faults.extend([fault] * number),  # type: ignore[misc]
                )
            )
            await store.sessions()
            found.append(Broker(store, faults))
        yield found


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what comes from another broker."""
    async with asyncio.timeout(10):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def other(number: int) -> Session:
    return replace(make_session(), id=session_id(number), slot=None)


async def knows(store: RedisStore, session: Session) -> bool:
    return (await store.sessions()).get(session.id) == session


async def test_what_one_broker_writes_another_reads_at_once_and_knows_soon(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        written = await one.store.write(replace(with_ports(make_session()), share="ädä lövelace %"))
        assert await two.store.read(written.id) == written
        await until(lambda: knows(two.store, written))
        ledger = await two.store.ledger()
        assert ledger.count("share/ädä lövelace %") == ledger.count("relay/relay-a") == 1
        assert ledger.owner(SLOT.claim) == written.id
        assert await two.store.read(written.id, fresh=False) == written


async def test_of_two_brokers_that_write_over_one_revision_one_wins(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        first = await one.store.write(make_session())
        await until(lambda: knows(two.store, first))
        results = await asyncio.gather(
            one.store.write(replace(first, message="one")),
            two.store.write(replace(first, message="two")),
            return_exceptions=True,
        )
        assert [type(result) for result in results if isinstance(result, Exception)] == [WriteRace]
        stored = await one.store.read(first.id)
        assert stored in results and await two.store.read(first.id) == stored


async def test_brokers_share_bounds(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 2) as found:
        writes = [found[number % 2].store.write(other(number), bounds={"sessions": 5}) for number in range(20)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert sum(isinstance(result, PoolFull) for result in results) == 15


async def test_a_claim_that_a_write_found_taken_is_known_before_its_change_comes(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 1) as (one,), redis_store(redis_settings) as unheard:
        await unheard.sessions()
        written = await unheard.write(make_session())
        with pytest.raises(WriteRace):
            await one.store.write(replace(make_session(), id=session_id(8)))
        ledger = await one.store.ledger()
        assert not ledger.is_free(SLOT.claim) and ledger.owner(SLOT.claim) == written.id


async def test_what_is_being_claimed_is_not_offered_to_the_next(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 1) as (one,):
        writing = asyncio.create_task(one.store.write(with_ports(make_session())))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ledger = await one.store.ledger()
        assert not ledger.is_free(SLOT.claim) and ledger.count("relay/relay-a") == 1
        await writing
        assert ledger.count("relay/relay-a") == 1


async def test_listeners_hear_of_others_where_they_ask_for_it_and_own_ones_never(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        own: list[str] = []
        every: list[tuple[Session | None, Session]] = []
        one.store.listen(lambda before, after: own.append(after.message))
        one.store.listen(lambda before, after: every.append((before, after)), of_others=True)
        mine = await one.store.write(replace(other(1), message="mine"))
        theirs = await two.store.write(replace(other(2), message="theirs"))
        await until(lambda: knows(one.store, theirs))
        assert own == ["mine"]
        assert every == [(None, mine), (None, theirs)]


async def test_events_of_all_brokers_have_one_order(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        start = await one.store.last_event_id()
        for number in range(6):
            await (one, two)[number % 2].store.write(other(number))
        heard = [await events_after(broker.store, start, 6) for broker in (one, two)]
        assert heard[0] == heard[1]
        assert [event.draft.session_id for event in heard[0]] == [session_id(number) for number in range(6)]


async def test_a_broker_that_begins_later_tells_of_what_was_before(redis_settings: RedisSettings) -> None:
    async with brokers(redis_settings, 1) as (one,):
        start = await one.store.last_event_id()
        written = await one.store.write(make_session())
        heard = await events_after(one.store, start, 1)
        async with brokers(redis_settings, 1) as (late,):
            assert await late.store.sessions() == {written.id: written}
            assert await events_after(late.store, start, 1) == heard


async def test_who_was_deposed_writes_nothing(redis_settings: RedisSettings, link: RedisLink) -> None:
    async with brokers(redis_settings, 1) as (one,):
        await link.call("SET", link.key("fence"), 4)
        first = await one.store.write(make_session(), fence=4)
        await link.call("SET", link.key("fence"), 5)
        with pytest.raises(Deposed):
            await one.store.write(replace(first, message="late"), fence=4)
        assert await one.store.read(first.id) == first
        await one.store.write(replace(first, message="without a lease"))


async def test_nothing_is_written_nor_said_to_be_missing_before_there_is_an_epoch(
    redis_settings: RedisSettings,
) -> None:
    settings = redis_settings.model_copy(update={"timeout_s": 0.2})
    async with redis_store(settings, epoch=None) as store:
        for refused in (store.write(make_session()), store.read(session_id(1)), store.sessions(), store.append([])):
            with pytest.raises(StoreUnavailable) as caught:
                await refused
            assert caught.value.reason
        assert await store.set_epoch(READY, instead_of=None)
        await store.write(make_session())
        assert await store.read(session_id(1)) is None


async def test_an_epoch_is_compared_and_set(redis_settings: RedisSettings, link: RedisLink) -> None:
    async with redis_store(redis_settings, epoch=None) as store:
        assert await store.epoch() is None
        assert await store.set_epoch(NEXT, instead_of=None)
        assert not await store.set_epoch(READY, instead_of=None)
        assert await store.epoch() == NEXT
        assert await store.set_epoch(replace(NEXT, state=EpochState.READY), instead_of=NEXT)
        await link.call("SET", link.key("epoch"), "something else")
        assert await store.epoch() is None
        assert await store.set_epoch(NEXT, instead_of=None)


async def test_lost_data_is_made_anew_from_what_brokers_remember(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        session = await one.store.write(with_ports(make_session()))
        await until(lambda: knows(two.store, session))
        await link.call("UNLINK", *await keys_of(link))
        with pytest.raises(StoreUnavailable):
            await one.store.write(replace(session, message="into the void"))
        with pytest.raises(StoreUnavailable):
            await two.store.read(session.id)
        assert await one.store.set_epoch(NEXT, instead_of=None)
        with pytest.raises(StoreUnavailable):
            await two.store.write(other(3))
        restored = await one.store.restore(one.store.remembered()[session.id], epoch=NEXT)
        assert restored == replace(session, revision=session.revision + 1)
        with pytest.raises(WriteRace):
            await two.store.restore(session, epoch=NEXT)
        with pytest.raises(WriteRace):
            await two.store.restore(replace(session, id=session_id(9)), epoch=NEXT)
        ready = replace(NEXT, state=EpochState.READY)
        assert await one.store.set_epoch(ready, instead_of=NEXT)
        for broker in (one, two):
            await until(lambda store=broker.store: is_current(store, {session.id: restored}))  # type: ignore[misc]
        assert (await two.store.ledger()).owner(SLOT.claim) == session.id
        with pytest.raises(StoreUnavailable):
            await one.store.restore(other(4), epoch=NEXT)
        await two.store.write(replace(restored, message="as before"))


async def test_a_session_that_ended_goes_by_itself(redis_settings: RedisSettings, link: RedisLink) -> None:
    async with brokers(redis_settings, 1) as (one,):
        session = await one.store.write(replace(other(1), idempotency="idempotency/create/k"))
        now = await one.store.now()
        await one.store.write(ended(session, EndReason.DELETED, "", now - 3599.8))
        keys = ("session:" + session.id, "claim:idempotency/create/k")
        left = [await link.call("PTTL", link.key(key)) for key in (*keys, "ended")]
        assert all(isinstance(ms, int) and 0 < ms <= 200 for ms in left)
        await until(lambda: are_gone(link, *keys))
        assert await one.store.sessions() == {} == await one.store.claims()
        assert await one.store.read(session.id) is None


async def test_one_that_is_gone_by_itself_is_no_fault_though_the_index_has_it(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 1) as (one,):
        now = await one.store.now()
        for number, age_s in ((1, 3599.8), (2, 0.0)):
            session = await one.store.write(other(number))
            await one.store.write(ended(session, EndReason.DELETED, "", now - age_s))
        await until(lambda: are_gone(link, "session:" + session_id(1)))
        assert await link.call("ZSCORE", link.key("ended"), session_id(1)) is not None
        await link.call("DEL", link.key("mending"))
        async with brokers(redis_settings, 1) as (late,):
            assert set(await late.store.sessions()) == {session_id(2)}
            await until(lambda: has(link, "mending"))
            assert late.faults == []


async def test_every_key_that_is_left_when_all_is_over_has_an_end(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 1) as (one,):
        now = await one.store.now()
        session = await one.store.write(with_ports(make_session()))
        over = await one.store.write(ended(session, EndReason.DELETED, "", now))
        linger = {"port/relay-a/31000": now + 30, "port/relay-a/31001": now + 30}
        await one.store.write(replace(over, slot=None, ports=None), linger=linger)
        endless = [key for key in await keys_of(link) if await link.call("PTTL", key) == -1]
        assert endless == [link.key("epoch")]
        assert await one.store.claims() == {key: Claim(None, until) for key, until in linger.items()}
        async with brokers(redis_settings, 1) as (late,):
            assert await late.store.claims() == await one.store.claims()


async def test_what_is_no_session_is_set_aside_and_counted_and_the_rest_goes_on(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 1) as (one,):
        sessions = [
            await one.store.write(replace(other(number), slot=replace(SLOT, number=number, id=f"s{number}")))
            for number in range(5)
        ]
    text, kind, cut, gone = (link.key(f"session:{session.id}") for session in sessions[:4])
    await link.call("DEL", link.key("mending"))
    await link.call("SET", text, "\xff garbage")
    await link.call("DEL", kind)
    await link.call("HSET", kind, "a", "b")
    await link.call("SETRANGE", cut, 200, "\0" * 50)
    await link.call("DEL", gone)
    async with brokers(redis_settings, 1) as (one,):
        assert await one.store.sessions() == {sessions[4].id: sessions[4]}
        await until(lambda: is_mended(one.store, link, sessions[4]))
        assert one.faults.count(Fault.SET_ASIDE) == 4
        assert await one.store.read(sessions[0].id) is None
        assert await link.call("TYPE", link.key(f"aside:{sessions[1].id}")) == b"hash"
        await one.store.write(replace(sessions[4], message="goes on"))
        await one.store.write(replace(sessions[0], revision=0))


async def test_claims_counts_and_index_that_others_broke_are_mended(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 1, reread_s=0.2) as (one,):
        session = await one.store.write(with_ports(make_session()))
        await link.call("DEL", link.key("claim:port/relay-a/31000"), link.key("live"))
        await link.call("SET", link.key("claim:port/relay-a/39999"), session_id(77))
        await link.call("HSET", link.key("pools"), "sessions", 40, "share/nobody", 7, "slots/process/default", "x")
        await link.call("HDEL", link.key("pools"), "relay/relay-a")

        async def is_as_before() -> bool:
            await link.call("DEL", link.key("mending"))
            pools = await link.call("HGETALL", link.key("pools"))
            claim = await link.call("GET", link.key("claim:port/relay-a/31000"))
            stray = await link.call("EXISTS", link.key("claim:port/relay-a/39999"))
            return pairs_of(pools) == {
                b"sessions": b"1",
                b"share/": b"1",
                b"slots/process/default": b"1",
                b"relay/relay-a": b"1",
            } and (claim, stray) == (session.id.encode(), 0)

        await until(is_as_before)
        assert {Fault.INDEX_MENDED, Fault.CLAIM_MENDED, Fault.COUNT_MENDED} <= set(one.faults)
        await until(lambda: is_current(one.store, {session.id: session}))


async def test_changes_that_were_missed_are_made_good_by_a_full_read(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 2) as (one, two):
        session = await one.store.write(make_session())
        await until(lambda: knows(two.store, session))
        await link.call("HINCRBY", link.key("count"), "change", 3)
        later = await one.store.write(replace(session, message="later"))
        await until(lambda: knows(two.store, later))
        assert two.faults == [Fault.GAP]


@pytest.mark.parametrize("fields", [("i", "x"), ("n", "1"), ("n", "2", "i", session_id(1), "j", "{}", "e", "{")])
async def test_a_foreign_change_harms_nobody(
    redis_settings: RedisSettings, link: RedisLink, fields: tuple[str, ...]
) -> None:
    async with brokers(redis_settings, 1) as (one,):
        session = await one.store.write(make_session())
        await link.call("XADD", link.key("changes"), "*", *fields)
        later = await one.store.write(replace(session, message="later"))
        with pytest.raises(WriteRace):
            await one.store.write(session)
        assert await one.store.sessions() == {session.id: later}
        await until(lambda: is_faulty(one))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("live", ("SET", "x")),
        ("changes", ("SET", "x")),
        ("pools", ("SET", "x")),
        ("count", ("SET", "x")),
        ("ended", ("SADD", "x")),
        ("lingering", ("SADD", "x")),
    ],
)
async def test_a_foreign_key_in_our_place_is_named_and_nothing_is_half_written(
    redis_settings: RedisSettings, link: RedisLink, name: str, make: tuple[str, str]
) -> None:
    settings = redis_settings.model_copy(update={"timeout_s": 0.5})
    await link.call(make[0], link.key(name), make[1])
    async with redis_store(settings) as store:
        before = await keys_of(link)
        now = await store.now()
        session = ended(other(1), EndReason.DELETED, "", now) if name == "ended" else with_ports(make_session())
        with pytest.raises(StoreUnavailable):
            await store.write(session, linger={"a": now + 30})
        assert await keys_of(link) == before
        with pytest.raises(StoreUnavailable) as refused:
            await store.check()
        assert link.key(name) in refused.value.reason and "delete it" in refused.value.reason
        await link.call("DEL", link.key(name))
        await until(lambda: is_current(store, {}))


async def test_what_is_listed_and_placed_by_asks_redis_for_nothing(
    redis_settings: RedisSettings, link: RedisLink
) -> None:
    async with brokers(redis_settings, 1) as (one,):
        await asyncio.gather(*(one.store.write(other(number)) for number in range(600)))
        before = await reads_of(link)
        for _ in range(1000):
            assert len(await one.store.sessions()) == 600
            assert (await one.store.ledger()).count("sessions") == 600
        assert await reads_of(link) - before < 100
    async with brokers(redis_settings, 1) as (late,):
        assert len(await late.store.sessions()) == 600


async def test_a_create_is_one_round_trip(redis_settings: RedisSettings, link: RedisLink) -> None:
    async with brokers(redis_settings, 1) as (one,):
        await one.store.write(other(0))
        before = await scripts_of(link)
        for number in range(1, 50):
            await one.store.write(other(number), bounds={"sessions": 100})
        assert await scripts_of(link) - before == 49


async def events_after(store: RedisStore, after: int, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(10), aclosing(store.events(after)) as events:
        while len(found) < count:
            found += await anext(events)
    return found


async def is_current(store: RedisStore, sessions: dict[str, Session]) -> bool:
    try:
        return await store.sessions() == sessions
    except StoreUnavailable:
        return False


async def is_faulty(broker: Broker) -> bool:
    return bool(broker.faults)


async def is_mended(store: RedisStore, link: RedisLink, left: Session) -> bool:
    claims = [key for key in await keys_of(link) if key.startswith(link.key("claim:"))]
    pools = await link.call("HGETALL", link.key("pools"))
    assert left.state is State.PENDING
    return len(claims) == 1 and pairs_of(pools)[b"sessions"] == b"1"


async def has(link: RedisLink, name: str) -> bool:
    return await link.call("EXISTS", link.key(name)) == 1


async def are_gone(link: RedisLink, *names: str) -> bool:
    return await link.call("EXISTS", *(link.key(name) for name in names)) == 0


async def keys_of(link: RedisLink) -> list[str]:
    """All keys of this test's deployment, those that come and go with time left out."""
    found = await link.call("KEYS", link.key("*"))
    assert isinstance(found, list)
    passing = {link.key("mending"), link.key("probe")}
    return sorted({key.decode() for key in found if isinstance(key, bytes)} - passing)


def pairs_of(reply: object) -> dict[bytes, bytes]:
    assert isinstance(reply, list)
    return dict(zip(reply[::2], reply[1::2], strict=True))


async def reads_of(link: RedisLink) -> int:
    return sum([await count_of(link, name) for name in ("get", "mget", "hget", "evalsha", "scard", "zrange")])


async def scripts_of(link: RedisLink) -> int:
    return await count_of(link, "evalsha")


async def count_of(link: RedisLink, name: str) -> int:
    """How often a command was called."""
    told = await link.call("INFO", "commandstats")
    assert isinstance(told, bytes)
    start = f"cmdstat_{name}:calls=".encode()
    return sum(int(line.removeprefix(start).split(b",")[0]) for line in told.splitlines() if line.startswith(start))
