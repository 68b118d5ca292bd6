from dataclasses import replace

import pytest

from broker.core.queue import Place
from broker.core.session import EndReason, Phase, Session, State, ended
from broker.waiting_room import WaitingRoom
from tests.broker.samples import SLOT, make_session, session_id


def waiting(number: int, *, share: str = "me", at: float = 1000.0) -> Session:
    return replace(make_session(at=at), id=session_id(number), slot=None, phase=Phase.QUEUED, share=share)


@pytest.fixture
def called() -> list[str]:
    return []


@pytest.fixture
def room(called: list[str]) -> WaitingRoom:
    room = WaitingRoom()
    room.on_turn(called.append)
    return room


def served(session: Session, *, at: float) -> Session:
    return replace(session, slot=SLOT, phase=Phase.STARTING, updated_at=at)


def test_who_waits_has_a_place_until_it_is_served(room: WaitingRoom, called: list[str]) -> None:
    first, second = waiting(1), waiting(2, at=1001.0)
    room.see(None, first)
    room.see(None, second)
    assert (room.is_next(first), room.is_next(second), room.waits(second.id)) == (True, False, True)
    assert room.place_of(second, 1005.0) == Place(2, None, 2)
    room.see(first, served(first, at=1020.0))
    assert called == [second.id], "there may be another slot"
    assert room.place_of(second, 1020.0) == Place(1, 20.0, 1)
    assert room.place_of(first, 1020.0) is None and not room.waits(first.id)
    assert room.retry_after_s("default", 1020.0) == 20.0


def test_the_next_is_called_when_a_slot_becomes_free_or_the_one_before_it_leaves(
    room: WaitingRoom, called: list[str]
) -> None:
    holder, first, second = make_session(), waiting(1), waiting(2, at=1001.0)
    for session in (holder, first, second):
        room.see(None, session)
    room.see(holder, ended(holder, EndReason.DELETED, "", 1002.0))
    assert called == [], "its backend is not gone yet"
    room.see(holder, replace(holder, slot=None, state=State.ENDED))
    assert called == [first.id]
    room.see(second, replace(second, message="still waiting"))
    room.see(first, ended(first, EndReason.DELETED, "", 1003.0))
    assert called == [first.id, second.id]
    assert room.place_of(second, 1003.0) == Place(1, None, 1), "who leaves unserved is no measure"


def test_profiles_have_queues_of_their_own(room: WaitingRoom) -> None:
    first, other = waiting(1), replace(waiting(2), profile="special")
    room.see(None, first)
    room.see(None, other)
    assert room.is_next(first) and room.is_next(other)
    assert not room.is_next(replace(first, profile="unheard of"))
    assert room.place_of(replace(first, profile="unheard of"), 0.0) is None


def test_moves_are_told_once(room: WaitingRoom) -> None:
    first, second = waiting(1), waiting(2, at=1001.0)
    room.see(None, first)
    room.see(None, second)
    assert dict(room.moves(1005.0)) == {first.id: Place(1, None, 2), second.id: Place(2, None, 2)}
    assert dict(room.moves(1005.0)) == {}
    room.see(first, ended(first, EndReason.DELETED, "", 1003.0))
    assert dict(room.moves(1005.0)) == {second.id: Place(1, None, 1)}


def test_when_to_come_back_is_a_guess_before_it_is_measured(room: WaitingRoom) -> None:
    assert room.retry_after_s("default", 0.0) == 10.0
