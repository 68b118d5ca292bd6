from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ledger import claims_of, pools_of
from broker.stores.records import NOTHING, Change, Holding, Record, name_of, pairs, place_of, word, words
from broker.stores.session_json import dump_session
from tests.broker.samples import make_session, with_ports

SESSION = make_session()
RECORD = f"5-1\n{Holding.of(SESSION).header}\n".encode() + dump_session(SESSION)

NAMES = st.text(min_size=1)


@given(st.frozensets(NAMES, max_size=5))
def test_names_become_words_and_come_back(names: frozenset[str]) -> None:
    line = words(names)
    assert frozenset(map(name_of, line.split(" "))) - {""} == names
    assert line.isascii() and "\n" not in line and all(line.split(" ")) is bool(names)


def test_usual_names_are_words_as_they_are() -> None:
    for name in (*claims_of(with_ports(SESSION)), *pools_of(with_ports(SESSION))):
        assert word(name) == name
    assert pairs({"port/a/1": 1030.25, "a b": 1.0}) == "port/a/1 1030.25 a%20b 1.0"


def test_a_holding_that_stays_the_same_is_the_same() -> None:
    first = Holding.of(SESSION)
    assert Holding.of(make_session(), first) is first
    assert Holding.of(with_ports(SESSION), first) is not first
    assert first.header.split("\n") == ["slot/process/default/0", "sessions share/ slots/process/default"]
    assert NOTHING.header == "\n"


def test_changes_have_an_order() -> None:
    stamps = ["1-0", "1-1", "1-10", "2-0", "10-0", "1795279694307-0", "1795279694307-12"]
    places = [place_of(stamp) for stamp in stamps]
    assert places == sorted(places) and len(set(places)) == len(places)


@pytest.mark.parametrize("stamp", ["", "-", "!", "1", "1-", "a-1", "1-1 ", "1-²", "1-1\n"])
def test_what_is_no_stamp_is_refused(stamp: str) -> None:
    with pytest.raises(ValueError):
        place_of(stamp)


def test_a_record_is_read_as_it_was_written() -> None:
    assert Record.parse(SESSION.id, RECORD) == Record("5-1", SESSION)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        RECORD.replace(b"5-1", b"5"),
        RECORD.replace(b"5-1", b"\xff-1"),
        RECORD[:-1],
        RECORD.split(b"\n", 1)[1],
        RECORD.replace(SESSION.id.encode(), b"another"),
        b"\n" * 10,
    ],
)
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Record.parse(SESSION.id, text)


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_a_record_or_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Record.parse(SESSION.id, text)


def test_a_change_is_read_as_it_was_written() -> None:
    fields = [b"i", SESSION.id.encode(), b"w", b"me", b"n", b"7", b"j", dump_session(SESSION)]
    change = Change.parse([b"5-1", [*fields, b"l", b"a%20b 3.5"]])
    assert (change.stamp, change.number, change.writer, change.session_id) == ("5-1", 7, "me", SESSION.id)
    assert change.session() == SESSION
    assert change.linger == {"a b": 3.5}
    assert change.numbered_events() == []


@pytest.mark.parametrize(
    "entry",
    [
        None,
        b"5-1",
        [b"5-1"],
        [b"5-1", None],
        [b"5-1", []],
        [b"5-1", [b"n"]],
        [b"5-1", [b"n", b"x"]],
        [b"5-1", [b"n", 1]],
        [b"5-1", [b"n", b"1", b"i", b"\xff"]],
        [b"5-1", [b"n", b"1", b"l", b"a"]],
        [b"5-1", [b"n", b"1", b"l", b"a b"]],
        [b"5-1", [b"n", b"1", b"f", b"x"]],
        [5, [b"n", b"1"]],
    ],
)
def test_what_is_no_change_is_refused(entry: object) -> None:
    with pytest.raises(ValueError):
        Change.parse(entry)  # type: ignore[arg-type]
