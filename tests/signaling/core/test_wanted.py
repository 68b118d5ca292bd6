from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from signaling.core.wanted import Look, Wanted
from signaling.routes import Endpoint, Route

BACKEND = Endpoint("127.0.0.2", 47000, 47001)


def route(name: str, port: int = 31000, *, record: str = "") -> Route:
    return Route(name, "r1", port, port + 1, BACKEND, "secret", record=record)


A, B, C = route("a"), route("b", 31002), route("c", 31004)


def look(
    *routes: Route, epoch: str | None = "e1", count: int = 0, origin: str | None = "o1", handed_in: str = ""
) -> Look:
    return Look(epoch, origin, count, f"{count}-0", {one.session_id: one for one in routes}, frozenset(handed_in))


def begun(*routes: Route) -> Wanted:
    """One that took a first look."""
    wanted, first = Wanted(), look(*routes)
    assert not wanted.is_known(first) and wanted.missing(first) == {}
    wanted.take(first)
    return wanted


def test_changes_follow_a_look_and_a_gap_asks_for_another() -> None:
    wanted = begun(A)
    assert wanted.change(1, "1-0", "b", B) and wanted.whole() == {"a": A, "b": B}
    assert not wanted.change(3, "3-0", "c", C), "the second was missed"
    assert (wanted.count, wanted.position) == (1, "1-0")
    assert wanted.change(2, "2-0", "a", None) and wanted.whole() == {"b": B}


def test_a_set_of_the_same_data_is_believed_whatever_it_lacks() -> None:
    wanted = begun(A, B)
    assert wanted.is_known(look()) and wanted.missing(look()) == {}
    wanted.take(look(C, count=9))
    assert wanted.whole() == {"c": C}


def test_a_look_without_routes_changes_nothing() -> None:
    wanted = begun(A)
    version = wanted.version
    wanted.take(replace(look(count=0), routes=None))
    assert (wanted.whole(), wanted.version) == ({"a": A}, version)


def test_lost_data_are_no_empty_set() -> None:
    wanted = begun(A, B)
    empty = look(epoch=None)
    assert not wanted.is_known(empty)
    assert wanted.missing(empty) == {"a": A, "b": B}
    wanted.take(replace(empty, handed_in=frozenset("ab")))
    assert wanted.whole() == {"a": A, "b": B} and wanted.kept == {"a", "b"}
    restoring = look(epoch="e2", handed_in="ab")
    assert not wanted.is_known(restoring) and wanted.missing(restoring) == {}
    wanted.take(restoring)
    wanted.take(look(A, epoch="e2", count=1, handed_in="b"))
    assert wanted.whole() == {"a": A, "b": B}
    wanted.take(replace(look(epoch="e2", count=1), routes=None))
    assert wanted.whole() == {"a": A}, "the broker dealt with b, and wants it no more"
    assert wanted.kept == frozenset()


def test_data_lost_again_before_anybody_restored_them_are_handed_in_again() -> None:
    wanted = begun(A)
    wanted.take(look(epoch=None, handed_in="a"))
    assert wanted.missing(look(epoch=None, handed_in="a")) == {}
    assert wanted.missing(look(epoch=None)) == {"a": A}


def test_another_start_of_the_server_may_have_lost_the_last_writes() -> None:
    wanted = begun(A, B)
    after = look(B, origin="o2")
    assert not wanted.is_known(after) and wanted.missing(after) == {"a": A}
    assert wanted.is_known(look(origin=None)), "it does not tell, and the epoch is the same"
    wanted.take(replace(after, handed_in=frozenset("a")))
    assert wanted.whole() == {"a": A, "b": B}
    assert wanted.change(1, "1-0", "a", None) and wanted.whole() == {"b": B}, "a fact that was seen"


def test_an_entry_that_makes_no_sense_leaves_what_is_served() -> None:
    wanted = begun(A, B)
    wanted.take(replace(look(B, count=4), unreadable=frozenset("ac")))
    assert wanted.whole() == {"a": A, "b": B}


def test_the_next_follower_goes_on_from_what_was_known() -> None:
    following = Wanted(begun(A))
    assert following.whole() == {"a": A}
    assert following.count == -1, "it looks at the whole first"
    assert following.missing(look(epoch="e2")) == {"a": A}


def test_a_new_record_is_a_change() -> None:
    wanted = begun(A)
    version = wanted.version
    assert wanted.change(1, "1-0", "a", route("a", record="newer"))
    assert wanted.version == version + 1
    assert wanted.change(2, "2-0", "a", route("a", record="newer"))
    assert wanted.version == version + 1


NAMES = st.sampled_from("abc")
SETS = st.frozensets(NAMES).map(lambda names: {name: route(name) for name in names})
EPOCHS = st.none() | st.sampled_from(["e1", "e2"])


@given(st.lists(st.tuples(SETS, EPOCHS, st.sampled_from(["o1", "o2"]))), SETS)
def test_no_route_goes_without_a_fact(
    steps: list[tuple[Mapping[str, Route], str | None, str]], first: Mapping[str, Route]
) -> None:
    """As a relay does it: hand in what is missing, then believe. `there` are the routes that wait for a broker."""
    wanted = begun(*first.values())
    seen: tuple[str | None, str] = ("e1", "o1")
    waiting: set[str] = set()
    for routes, epoch, origin in steps:
        before = wanted.whole()
        now = look(*routes.values(), epoch=epoch, origin=origin, handed_in="".join(waiting))
        waiting |= wanted.missing(now).keys()
        wanted.take(replace(now, handed_in=frozenset(waiting)))
        if (epoch, origin) != seen or epoch is None:
            assert wanted.whole().keys() >= before.keys(), "the data may not be those of before"
        assert wanted.whole().items() >= routes.items()
        seen = epoch, origin
