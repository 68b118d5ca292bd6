from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.catalog import Clocks
from broker.core.events import EventDraft, EventType, Scalar, events_between
from broker.core.session import Alarm, EndReason, Grant, Handled, Phase, RelayPorts, Session, State, Wanted, ended
from broker.core.slot import SlotRef
from broker.stores.session_json import dump_events, dump_session, load_events, load_session
from signaling.routes import Admission, Endpoint, SignalingKind
from tests.broker.samples import make_session, with_ports

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
TIMES = st.floats(0, 1e10)
PORTS = st.integers(1, 65535)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


SESSIONS = st.builds(
    Session,
    id=TEXTS,
    application=TEXTS,
    version=TEXTS,
    profile=TEXTS,
    arguments=PAIRS,
    owner=TEXTS,
    created_at=TIMES,
    updated_at=TIMES,
    pending_since=TIMES,
    clocks=st.builds(Clocks, placement_s=TIMES, idle_s=maybe(TIMES), at_max_length=st.sampled_from(["end", "stop"])),
    slot=maybe(st.builds(SlotRef, TEXTS, TEXTS, st.integers(0, 10**6), TEXTS, TEXTS, TEXTS)),
    backend_secret=TEXTS,
    signaling=st.sampled_from(SignalingKind),
    admission=st.sampled_from(Admission),
    allowed_origins=st.lists(TEXTS, max_size=3).map(tuple),
    expires_at=maybe(TIMES),
    state=st.sampled_from(State),
    phase=maybe(st.sampled_from(Phase)),
    message=TEXTS,
    wanted=st.sampled_from(Wanted),
    backend=maybe(st.builds(Endpoint, st.just("fd00::1"), PORTS, PORTS)),
    ports=maybe(st.builds(RelayPorts, TEXTS, TEXTS, PORTS, PORTS)),
    end_reason=maybe(st.sampled_from(EndReason)),
    ended_at=maybe(TIMES),
    idempotency=maybe(TEXTS),
    revision=st.integers(0, 2**53),
    labels=PAIRS,
    grants=st.lists(st.builds(Grant, TEXTS, TIMES, TEXTS, TIMES), max_size=2).map(tuple),
    handled=st.lists(st.builds(Handled, TEXTS, TEXTS), max_size=2).map(tuple),
    warning=maybe(st.builds(Alarm, TIMES, st.sampled_from(EndReason), TEXTS, TIMES, st.booleans())),
)


@settings(max_examples=60)
@given(SESSIONS)
def test_a_session_comes_back_as_it_was_and_lies_in_one_line(session: Session) -> None:
    text = dump_session(session)
    assert load_session(text) == session
    assert b"\n" not in text


def test_what_is_as_usual_is_not_written_down() -> None:
    text = dump_session(make_session())
    assert b"route_attempts" not in text and b"labels" not in text and len(text) < 600


def test_what_a_later_version_adds_is_passed_over() -> None:
    text = dump_session(make_session())
    assert load_session(text.replace(b"{", b'{"mood":"fine",', 1)) == make_session()


@pytest.mark.parametrize("name", [field.name for field in fields(Session)])
def test_a_field_of_another_kind_makes_it_no_session(name: str) -> None:
    text = dump_session(make_session())
    with pytest.raises(ValueError):
        load_session(text[:-1] + b',"' + name.encode() + b'":[[1]]}')


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b"\xff", b'{"id":"a"}', b"{" * 100_000])
def test_what_is_no_session_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        load_session(text)


def test_text_that_is_no_unicode_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError):
        dump_session(replace(make_session(), owner="\ud800"))


@settings(max_examples=30)
@given(SESSIONS, SESSIONS)
def test_events_come_back_as_they_were(before: Session, after: Session) -> None:
    events = events_between(before, replace(after, id=before.id))
    assert load_events(dump_events(events)) == events


def test_all_kinds_of_data_come_back() -> None:
    data: dict[str, Scalar] = {"text": "ä", "count": 3, "ratio": 0.5, "is": True, "none": None, "flag": False, "one": 1}
    draft = EventDraft(EventType.QUEUE, "a", "b", 1.5, data)
    (read,) = load_events(dump_events((draft,)))
    assert read == draft
    assert [type(value) for value in read.data.values()] == [type(value) for value in data.values()]


def test_the_end_is_told_with_its_reason() -> None:
    session = with_ports(make_session())
    (end,) = events_between(session, ended(session, EndReason.IDLE, "nobody", 5.0))
    assert load_events(dump_events((end,))) == (end,)
