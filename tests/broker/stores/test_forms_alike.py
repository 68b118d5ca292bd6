"""Both forms under the same calls, drawn at random: they have to answer alike and to know the same after each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from broker.core.ledger import Ledger
from broker.core.session import EndReason, RelayPorts, Session, State, ended
from broker.core.session import Phase as SessionPhase
from broker.stores.base import PoolFull, Store, WriteRace
from broker.stores.memory import MemoryStore
from signaling.errors import Deposed
from signaling.redis_settings import RedisSettings
from tests.broker.samples import SLOT, make_session, session_id
from tests.broker.stores.forms import redis_store

POOLS = ("sessions", "share/ann", "share/bob ö", "slots/process/default", "relay/relay-a", "queue/default")


@dataclass(frozen=True)
class Call:
    """One write, and by how much the clock went on before it. `stale` names a revision that is not the stored one."""

    session: int
    share: str
    slot: int | None
    port: int | None
    ends: bool
    lingers: bool
    bound: int | None
    stale: int
    pause_s: float
    key: int | None


CALLS = st.lists(
    st.builds(
        Call,
        session=st.integers(0, 4),
        share=st.sampled_from(["ann", "bob ö"]),
        slot=st.integers(0, 2) | st.none(),
        port=st.integers(0, 2) | st.none(),
        ends=st.integers(0, 3).map(lambda number: number == 0),
        lingers=st.booleans(),
        bound=st.integers(0, 4) | st.none(),
        stale=st.sampled_from([0, 0, 0, 0, 1, -1]),
        pause_s=st.sampled_from([0.0, 0.0, 10.0, 40.0]),
        key=st.integers(0, 2) | st.none(),
    ),
    min_size=5,
    max_size=20,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Known:
    """All that a store tells."""

    sessions: Mapping[str, Session]
    claims: Mapping[str, object]
    counts: tuple[int, ...]
    read: tuple[Session | None, ...]


async def known(store: Store) -> Known:
    ledger: Ledger = await store.ledger()
    return Known(
        await store.sessions(),
        await store.claims(),
        tuple(ledger.count(pool) for pool in POOLS),
        tuple([await store.read(session_id(number)) for number in range(5)]),
    )


async def answer(store: Store, call: Call, now: float) -> object:
    """What the store makes of it: the session as written, or the kind of refusal."""
    stored = await store.read(session_id(call.session))
    session = stored or replace(
        make_session(),
        id=session_id(call.session),
        share=call.share,
        idempotency=None if call.key is None else f"idempotency/create/{call.key}",
    )
    slot = None if call.slot is None else replace(SLOT, number=call.slot, id=f"s{call.slot}")
    ports = None if call.port is None else RelayPorts("relay-a", "h", 31000 + 2 * call.port, 31001 + 2 * call.port)
    after = replace(session, slot=slot, ports=ports, revision=session.revision + call.stale)
    if after.state is State.PENDING:
        after = replace(after, phase=SessionPhase.QUEUED if slot is None else SessionPhase.STARTING)
    if call.ends:
        after = ended(after, EndReason.DELETED, "over", now)
    ports_before = session.ports if stored is not None else None
    linger = {}
    if call.lingers and ports_before is not None and ports != ports_before:
        linger = {f"port/relay-a/{ports_before.signaling_port}": now + 30}
    try:
        return await store.write(after, linger=linger, bounds=None if call.bound is None else {"sessions": call.bound})
    except (WriteRace, PoolFull, Deposed) as refused:
        return type(refused)


# Without shrinking: a failure is found in seconds, and read from its list of calls.
@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(CALLS)
def test_both_forms_answer_alike_and_know_the_same(redis_settings: RedisSettings, calls: list[Call]) -> None:
    asyncio.run(compared(redis_settings.model_copy(update={"prefix": f"test-{uuid4().hex}"}), calls))


async def compared(redis: RedisSettings, calls: list[Call]) -> None:
    clock = Clock()
    memory = MemoryStore(clock)
    async with redis_store(redis, clock=clock) as one:
        for call in calls:
            clock.now += call.pause_s
            assert await answer(one, call, clock.now) == await answer(memory, call, clock.now)
            assert await known(one) == await known(memory)
        async with redis_store(redis, clock=clock) as late:
            assert await known(late) == await known(memory)


@pytest.mark.parametrize("seed", range(3))
async def test_several_brokers_at_work_at_once_never_share_a_claim(redis_settings: RedisSettings, seed: int) -> None:
    """Each takes what its own picture calls free; afterwards claims, counts and pictures are what the sessions say."""
    async with (
        redis_store(redis_settings) as one,
        redis_store(redis_settings) as two,
        redis_store(redis_settings) as three,
    ):
        stores = (one, two, three)
        made = await asyncio.gather(*(work(stores[number % 3], number, seed) for number in range(12)))
        sessions = {session.id: session for some in made for session in some}
        for store in stores:
            async with asyncio.timeout(10):
                while await store.sessions() != sessions:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        owners = [session.slot.claim for session in sessions.values() if session.slot is not None]
        assert len(owners) == len(set(owners)) > 0
        assert {key: claim.owner for key, claim in (await two.claims()).items()} == {
            session.slot.claim: session.id for session in sessions.values() if session.slot is not None
        }
        assert (await three.ledger()).count("slots/process/default") == len(owners) <= 8


async def work(store: Store, number: int, seed: int) -> list[Session]:
    """Make sessions, give them slots, end some: as brokers do, again where another was first. Returns those made."""
    made = []
    for turn in range(6):
        session = replace(make_session(), id=session_id(1000 * seed + 20 * number + turn), slot=None)
        for _ in range(50):
            ledger = await store.ledger()
            free = [slot for slot in range(8) if ledger.is_free(replace(SLOT, number=slot).claim)]
            if not free:
                break
            slot = replace(SLOT, number=free[(number + turn + seed) % len(free)], id=f"{number}-{turn}")
            try:
                session = await store.write(replace(session, slot=slot), bounds={"slots/process/default": 8})
                break
            except (WriteRace, PoolFull):
                continue
        if session.slot is not None and turn % 2:
            over = ended(session, EndReason.DELETED, "", await store.now())
            session = await store.write(replace(over, slot=None))
        if session.revision:
            made.append(session)
    return made
