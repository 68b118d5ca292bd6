"""The picture against the memory form: whatever order changes come in, both end up knowing the same."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.ledger import Claim
from broker.core.session import EndReason, RelayPorts, Session, ended
from broker.stores.base import WriteRace
from broker.stores.memory import MemoryStore
from broker.stores.picture import Picture
from broker.stores.records import NOTHING, Holding
from tests.broker.samples import SLOT, make_session, session_id, with_ports

NOW = 1000.0


@dataclass(frozen=True)
class Act:
    """One write: a session is made, gets a slot or ports, gives up what it has, or ends."""

    session: int
    slot: int | None
    port: int | None
    ends: bool
    lingers: bool


ACTS = st.lists(
    st.builds(
        Act, st.integers(0, 3), st.integers(0, 2) | st.none(), st.integers(0, 2) | st.none(), *[st.booleans()] * 2
    ),
    max_size=25,
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


async def written(acts: Sequence[Act]) -> tuple[list[tuple[Session, Mapping[str, float]]], MemoryStore]:
    """Those of the writes that the memory form took, in order, and what it then knows."""
    store = MemoryStore(Clock())
    taken: list[tuple[Session, Mapping[str, float]]] = []
    for act in acts:
        session = await store.read(session_id(act.session)) or replace(make_session(), id=session_id(act.session))
        slot = None if act.slot is None else replace(SLOT, number=act.slot, id=f"s{act.slot}")
        ports = None if act.port is None else RelayPorts("relay-a", "h", 31000 + 2 * act.port, 31001 + 2 * act.port)
        after = replace(session, slot=slot, ports=ports)
        if act.ends:
            after = ended(after, EndReason.DELETED, "", NOW)
        given_up = Holding.of(session).claims - Holding.of(after).claims if session.revision else frozenset()
        linger = {claim: NOW + 30 for claim in given_up} if act.lingers else {}
        with suppress(WriteRace):
            taken.append((await store.write(after, linger=linger), linger))
    return taken, store


@settings(max_examples=60)
@given(ACTS, st.data())
def test_changes_in_any_order_and_twice_end_in_what_the_store_knows(acts: Sequence[Act], data: st.DataObject) -> None:
    changes, store = asyncio.run(written(acts))
    picture = Picture(kept_ended=100)
    ahead = data.draw(st.lists(st.sampled_from(range(len(changes))), max_size=6)) if changes else []
    for place in (*ahead, *range(len(changes))):
        session, linger = changes[place]
        if picture.knows(session.id, place):
            picture.linger(linger, place)
        else:
            picture.put(session, str(place), place, linger)
    assert picture.sessions == asyncio.run(store.sessions())
    assert picture.claims == asyncio.run(store.claims())
    counts = {pool: asyncio.run(store.ledger()).count(pool) for pool in picture.pools}
    assert picture.pools == counts and all(counts.values())


@settings(max_examples=60)
@given(ACTS)
def test_what_is_removed_leaves_nothing(acts: Sequence[Act]) -> None:
    changes, _ = asyncio.run(written(acts))
    picture = Picture(kept_ended=100)
    for place, (session, linger) in enumerate(changes):
        picture.put(session, str(place), place, linger)
    for session_id_ in list(picture.sessions):
        picture.remove(session_id_)
        picture.remove(session_id_)
    picture.forget_what_is_due(NOW + 31)
    assert not picture.sessions and not picture.claims and not picture.pools


def test_what_was_taken_since_is_not_made_to_linger() -> None:
    picture = Picture(kept_ended=100)
    picture.put(with_ports(make_session()), "1-0", 1)
    until = {"port/relay-a/31000": NOW + 30, "port/relay-a/1": NOW + 30, "port/relay-a/2": NOW - 1}
    picture.linger_besides(until, NOW, 2)
    assert picture.claims["port/relay-a/31000"] == Claim(make_session().id)
    assert picture.claims["port/relay-a/1"] == Claim(None, NOW + 30)
    assert "port/relay-a/2" not in picture.claims


def test_what_is_under_way_is_taken_until_it_is_over() -> None:
    picture = Picture(kept_ended=100)
    after = Holding.of(with_ports(make_session()))
    with picture.writing(after, NOTHING):
        assert not picture.ledger.is_free(SLOT.claim) and picture.ledger.owner(SLOT.claim) is None
        assert picture.ledger.count("sessions") == 1
    assert picture.ledger.is_free(SLOT.claim) and picture.ledger.count("sessions") == 0


def test_what_a_write_found_taken_is_believed_for_a_moment() -> None:
    picture = Picture(kept_ended=100)
    picture.found_taken("a", "somebody", 10.0)
    picture.found_taken("b", None, 20.0)
    assert picture.ledger.owner("a") == "somebody" and not picture.ledger.is_free("b")
    picture.forget_found(10.0)
    assert picture.ledger.is_free("a") and not picture.ledger.is_free("b")
