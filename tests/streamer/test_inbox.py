"""What a viewer sends: order, bounds, counters."""

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.inbox import MAX_MESSAGE_BYTES, Inbox, InboxCounts
from streamer.input import InputEvent, PointerMove
from streamer.source import JsonObject

NAN = '{"event_type": "a", "payload": {"x": NaN}}'


class Ear:
    def __init__(self) -> None:
        self.events: list[InputEvent] = []
        self.messages: list[tuple[str, JsonObject]] = []
        self.requests: list[bool] = []

    def hear(self, event: InputEvent, at: float) -> None:
        self.events.append(event)

    def tell(self, event_type: str, payload: JsonObject) -> None:
        self.messages.append((event_type, payload))

    def request_timings(self, on: bool) -> None:
        self.requests.append(on)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def inbox(*, listens: bool = True) -> tuple[Inbox, Ear, Clock]:
    ear, clock = Ear(), Clock()
    return Inbox(ear, listens=listens, monotonic=clock), ear, clock


def move(seq: int) -> str:
    fields = {"type": "input", "event": "pointermove", "x": 0.5, "y": 0.5, "buttons": 0, "modifiers": 0, "seq": seq}
    return json.dumps(fields)


def blur(seq: int) -> str:
    return json.dumps({"type": "input", "event": "blur", "seq": seq})


def test_move_older_than_the_last_event_is_dropped_and_counted() -> None:
    box, ear, _ = inbox()
    for message in (move(3), blur(7), move(5), move(7), move(8)):
        box.take(message, 0)
    assert [event.seq for event in ear.events] == [3, 7, 8]
    assert box.counts == InboxCounts(stale=2)


def test_other_events_come_late_rather_than_never() -> None:
    box, ear, _ = inbox()
    for message in (move(9), blur(4)):
        box.take(message, 0)
    assert [event.seq for event in ear.events] == [9, 4]


def test_event_that_was_heard_before_is_not_heard_again() -> None:
    box, ear, _ = inbox()
    for message in (blur(3), move(5), blur(3), move(5), blur(2), blur(4), blur(4)):
        box.take(message, 0)
    assert [event.seq for event in ear.events] == [3, 5, 4]
    assert box.counts == InboxCounts(replayed=3, stale=1)


FORGED = [
    blur(1),
    move(2),
    '{"event_type": "openStageRequest", "payload": {}}',
    '{"event_type": "openStageRequest", "payload": {"url": "' + "x" * 1000 + '"}}',
    '{"type": "input", "event": "blur", "seq": 1, "role": "controller"}',
    '{"event_type": "frameTimings", "payload": {"enabled": true}, "type": "input", "event": "blur", "seq": 1}',
    '{"event_type": "frameTimings", "payload": {"enabled": true, "role": "controller"}}',
    '{"event_type": "frameTimings ", "payload": {"enabled": true}}',
]


def test_viewer_who_only_watches_is_not_heard_whatever_it_says() -> None:
    box, ear, _ = inbox(listens=False)
    for message in FORGED:
        box.take(message, 0)
    assert (ear.events, ear.messages) == ([], [])
    assert box.counts == InboxCounts(view_only=6)
    assert ear.requests == [True, True]


@pytest.mark.parametrize("listens", [True, False])
def test_timings_may_be_asked_for_by_anybody(listens: bool) -> None:
    box, ear, _ = inbox(listens=listens)
    for payload in ('{"enabled": true}', '{"enabled": false}', '{"enabled": 1}', "{}", "[]", "null"):
        box.take(f'{{"event_type": "frameTimings", "payload": {payload}}}', 0)
    assert ear.requests == [True, False]
    assert (ear.messages, box.counts) == ([], InboxCounts(malformed=4))


def test_flood_of_one_who_only_watches_is_cut_as_well() -> None:
    box, ear, _ = inbox(listens=False)
    for _ in range(700):
        box.take('{"event_type": "frameTimings", "payload": {"enabled": true}}', 0)
    assert len(ear.requests) == 500
    assert box.counts == InboxCounts(flooding=200)


def test_flood_is_cut_and_dries_up() -> None:
    box, ear, clock = inbox()
    for seq in range(2000):
        box.take(blur(seq), 0)
    assert len(ear.events) == 500
    assert box.counts == InboxCounts(flooding=1500)
    clock.now = 0.1
    box.take(blur(2001), 0)
    assert ear.events[-1].seq == 2001


def test_message_may_lack_a_payload_but_not_its_type() -> None:
    box, ear, _ = inbox()
    for message in ('{"event_type": "a"}', '{"event_type": 1, "payload": {}}', '{"event_type": "b", "payload": []}'):
        box.take(message, 0)
    assert ear.messages == [("a", {})]
    assert box.counts == InboxCounts(malformed=2)
    assert str(box.counts) == "2 malformed"
    assert str(InboxCounts()) == "nothing"


def test_oversized_and_deeply_nested_and_binary_messages_are_malformed() -> None:
    box, ear, _ = inbox()
    wide = json.dumps({"event_type": "a", "payload": {"x": "\u20ac" * 30000}}, ensure_ascii=False)
    assert len(wide) < MAX_MESSAGE_BYTES < len(wide.encode())
    for message in (wide, "x" * (MAX_MESSAGE_BYTES + 1), "[" * 60000, b"{}", "1", NAN, "\ud800"):
        box.take(message, 0)
    assert (ear.events, ear.messages) == ([], [])
    assert box.counts == InboxCounts(malformed=7)


@given(st.lists(st.integers(0, 50)))
def test_moves_are_heard_in_rising_order(seqs: list[int]) -> None:
    box, ear, _ = inbox()
    for seq in seqs:
        box.take(move(seq), 0)
    heard = [event.seq for event in ear.events]
    assert heard == sorted(set(heard))
    assert len(heard) + box.counts.stale == len(seqs)
    assert all(isinstance(event, PointerMove) for event in ear.events)


@given(st.lists(st.tuples(st.sampled_from([move, blur]), st.integers(0, 20)), max_size=60))
def test_nothing_is_heard_twice_and_all_is_counted(sent: list[tuple[Callable[[int], str], int]]) -> None:
    box, ear, _ = inbox()
    for message, seq in sent:
        box.take(message(seq), 0)
    actions = [event.seq for event in ear.events if not isinstance(event, PointerMove)]
    assert actions == sorted(set(actions))
    assert len(ear.events) + box.counts.stale + box.counts.replayed == len(sent)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
NAMES = st.sampled_from(["type", "event", "event_type", "payload", "enabled", "seq", "x", "y", "input", "blur"])
MESSAGES = st.dictionaries(
    NAMES, SCALARS | NAMES | st.dictionaries(NAMES, SCALARS, max_size=3) | st.lists(SCALARS, max_size=3), max_size=6
)


@given(st.lists(MESSAGES, max_size=20), st.booleans())
def test_whatever_message_comes_is_heard_or_counted_and_nothing_breaks(
    messages: list[dict[str, object]], listens: bool
) -> None:
    box, ear, _ = inbox(listens=listens)
    for message in messages:
        box.take(json.dumps(message), 0)
    heard = len(ear.events) + len(ear.messages) + len(ear.requests)
    assert heard + sum(asdict(box.counts).values()) == len(messages)
    if not listens:
        assert (ear.events, ear.messages) == ([], [])


@given(st.text() | st.binary())
def test_any_bytes_are_counted_and_heard_by_nobody(data: str | bytes) -> None:
    box, ear, _ = inbox()
    box.take(data, 0)
    assert ear.events == []
    assert box.counts == InboxCounts(malformed=1)
