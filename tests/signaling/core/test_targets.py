from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.core.media_path import TransportAddress
from signaling.core.targets import BackendTargets

FALLBACK = TransportAddress("127.0.0.2", 47001)
A, B, C = (TransportAddress("127.0.0.2", port) for port in (1, 2, 3))


def test_port_of_the_backend_is_asked_while_nothing_was_learned() -> None:
    assert BackendTargets(FALLBACK).asked_for("abcd") == (FALLBACK,)
    assert BackendTargets(FALLBACK).asked_for(None) == (FALLBACK,)


def test_hosts_are_those_that_were_named() -> None:
    targets = BackendTargets(FALLBACK)
    assert not targets.hosts
    targets.learn(A, "aaaa")
    targets.learn(TransportAddress("192.0.2.2", 1), None)
    assert targets.hosts == {"127.0.0.2", "192.0.2.2"}


def test_candidates_of_the_ufrag_are_asked_before_others() -> None:
    targets = BackendTargets(FALLBACK)
    targets.learn(A, "aaaa")
    targets.learn(B, "bbbb")
    assert targets.asked_for("bbbb") == (B,)
    assert targets.asked_for("cccc") == (A, B)
    targets.learn(C, None)
    assert targets.asked_for("cccc") == (C,)
    assert targets.asked_for(None) == (C,)
    targets.learn(C, "bbbb")
    assert targets.asked_for("bbbb") == (B, C)


def test_only_a_ufrag_known_to_be_elsewhere_contradicts_a_lock() -> None:
    targets = BackendTargets(FALLBACK)
    targets.learn(A, "aaaa")
    targets.learn(B, None)
    assert targets.contradicts(B, "aaaa")
    assert not targets.contradicts(A, "aaaa")
    assert not targets.contradicts(A, "bbbb")
    assert not targets.contradicts(A, None)


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(["a", "b", None])), max_size=80))
def test_targets_are_bounded_distinct_and_the_newest(learned: list[tuple[int, str | None]]) -> None:
    targets = BackendTargets(FALLBACK, limit=4)
    for port, ufrag in learned:
        targets.learn(TransportAddress("127.0.0.2", port), ufrag)
    for ufrag in ("a", "b", "z", None):
        asked = targets.asked_for(ufrag)
        assert 1 <= len(asked) == len(set(asked)) <= 4
    if learned:
        port, ufrag = learned[-1]
        assert targets.asked_for(ufrag)[-1] == TransportAddress("127.0.0.2", port)


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(["aaaa", "bbbb", None])), max_size=8))
def test_another_that_is_told_the_same_asks_the_same(named: list[tuple[TransportAddress, str | None]]) -> None:
    targets, successor = BackendTargets(FALLBACK, limit=4), BackendTargets(FALLBACK, limit=4)
    for address, ufrag in named:
        targets.learn(address, ufrag)
    for address, ufrag in targets.known:
        successor.learn(address, ufrag)
    assert successor.known == targets.known
    assert all(successor.asked_for(ufrag) == targets.asked_for(ufrag) for ufrag in ("aaaa", "bbbb", "cccc", None))


def test_a_ufrag_that_no_message_can_name_is_not_told_on() -> None:
    targets = BackendTargets(FALLBACK)
    targets.learn(A, "half\ud800")
    assert targets.known == ()
