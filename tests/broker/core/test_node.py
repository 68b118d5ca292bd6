from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.node import (
    Fleet,
    ForeignNode,
    Node,
    NodeSlot,
    Presence,
    SlotState,
    Tenant,
    Verdict,
    heard,
    is_news,
    presence,
    suits,
    takes_sessions,
    verdict,
)
from tests.broker.nodes import CLOCKS, make_node, make_slot
from tests.broker.samples import SESSION_ID, make_profile

NOW = 1000.0
TENANT = Tenant(0, SESSION_ID, "boot", "first")


def at(node: Node, now: float, before: Node | None = None) -> Node:
    return heard(before, node, now, CLOCKS)


def test_a_newcomer_takes_sessions_at_once() -> None:
    node = at(make_node(), NOW)
    assert takes_sessions(node, NOW, CLOCKS)
    assert takes_sessions(node, NOW + CLOCKS.suspect_s, CLOCKS)


def test_a_node_that_is_late_takes_no_sessions_but_keeps_its_own() -> None:
    node = at(make_node(), NOW)
    late = NOW + CLOCKS.suspect_s + 0.1
    assert not takes_sessions(node, late, CLOCKS)
    assert presence(node, late, CLOCKS) is Presence.SUSPECT
    assert presence(node, NOW + CLOCKS.grace_s + 0.1, CLOCKS) is Presence.SILENT


def test_a_node_that_comes_back_has_to_be_steady_first() -> None:
    node = at(make_node(), NOW)
    back_at = NOW + 60
    back = at(make_node(), back_at, node)
    assert presence(back, back_at, CLOCKS) is Presence.HEARD
    assert not takes_sessions(back, back_at, CLOCKS)
    now = back_at
    while now < back_at + CLOCKS.settle_s:
        now += CLOCKS.heartbeat_s
        back = at(make_node(), now, back)
    assert takes_sessions(back, now, CLOCKS)


def test_silence_counts_only_while_somebody_listens() -> None:
    node = at(make_node(), NOW)
    now = NOW + 600
    assert presence(node, now, CLOCKS, listening_since=now - CLOCKS.grace_s) is Presence.SUSPECT
    assert presence(node, now, CLOCKS, listening_since=now - CLOCKS.grace_s - 0.1) is Presence.SILENT
    assert not takes_sessions(node, now, CLOCKS), "for newcomers only what is known to live will do"


def test_a_node_that_left_may_come_back_as_new() -> None:
    left = replace(at(make_node(), NOW), left=True)
    assert presence(left, NOW, CLOCKS) is Presence.LEFT
    assert not takes_sessions(left, NOW, CLOCKS)
    assert takes_sessions(at(make_node(host="10.1.0.8"), NOW + 1, left), NOW + 1, CLOCKS)


def test_a_draining_node_takes_no_sessions() -> None:
    assert not takes_sessions(at(make_node(draining=True), NOW), NOW, CLOCKS)


def test_another_machine_may_have_the_name_once_the_first_is_not_heard() -> None:
    first, second = at(make_node(), NOW), make_node(host="10.1.0.8")
    with pytest.raises(ForeignNode):
        at(second, NOW + CLOCKS.suspect_s, first)
    assert at(second, NOW + CLOCKS.suspect_s + 0.1, first).host == "10.1.0.8"


def test_a_heartbeat_alone_is_no_news() -> None:
    first = at(make_node(), NOW)
    assert not is_news(first, at(make_node(), NOW + 3, first), CLOCKS)
    assert is_news(first, at(make_node(draining=True), NOW + 3, first), CLOCKS)
    assert is_news(first, at(make_node(), NOW + 60, first), CLOCKS), "it is back"


@pytest.mark.parametrize(
    ("labels", "zones", "fits"),
    [
        ({}, (), True),
        ({"gpu": "l40s"}, (), True),
        ({"gpu": "l40s", "app": "usd"}, ("hall-1",), True),
        ({"gpu": "a10"}, (), False),
        ({"rack": "7"}, (), False),
        ({}, ("hall-2",), False),
        ({}, ("hall-2", "hall-1"), True),
    ],
)
def test_a_node_suits_a_profile_by_labels_and_zone(labels: dict[str, str], zones: tuple[str, ...], fits: bool) -> None:
    node = make_node(labels={"gpu": "l40s", "app": "usd"}, zone="hall-1")
    profile = replace(make_profile(), provider="static", labels=labels, zones=zones)
    assert profile.on_nodes
    assert suits(node, profile) is fits
    fleet = Fleet({node.name: at(node, NOW)}, CLOCKS)
    assert (fleet.candidates(profile, NOW) != []) is fits


def test_slots_are_found_by_number() -> None:
    node = make_node("gpu-1", make_slot(0), make_slot(3))
    slot = node.slot(3)
    assert slot is not None and slot.number == 3
    assert node.slot(1) is None
    assert "token of" not in repr(node), "no log shows it"


SERVING = make_slot(state=SlotState.CLAIMED, session_id=SESSION_ID)


@pytest.mark.parametrize(
    ("slot", "boot", "expected"),
    [
        (SERVING, "boot", Verdict.STAYS),
        (replace(SERVING, session_id=None), "boot", Verdict.STAYS),
        (replace(SERVING, session_id="another"), "boot", Verdict.ASK),
        (replace(SERVING, state=SlotState.IDLE), "boot", Verdict.ASK),
        (replace(SERVING, state=SlotState.STARTING), "boot", Verdict.ASK),
        (replace(SERVING, state=SlotState.FAILED), "boot", Verdict.GONE),
        (replace(SERVING, instance="second"), "boot", Verdict.GONE),
        (replace(SERVING, instance="second"), "another boot", Verdict.LOST),
        (replace(SERVING, number=1), "boot", Verdict.GONE),
        (SERVING, "another boot", Verdict.STAYS),
    ],
)
def test_what_a_heard_node_says_of_a_backend(slot: NodeSlot, boot: str, expected: Verdict) -> None:
    assert verdict(TENANT, make_node("gpu-1", slot, boot=boot), Presence.HEARD, 0, CLOCKS) is expected


@pytest.mark.parametrize(
    ("there", "failed", "expected"),
    [
        (Presence.SUSPECT, 99, Verdict.STAYS),
        (Presence.SILENT, 0, Verdict.ASK),
        (Presence.SILENT, CLOCKS.probes - 1, Verdict.ASK),
        (Presence.SILENT, CLOCKS.probes, Verdict.LOST),
        (Presence.LEFT, 0, Verdict.LOST),
    ],
)
def test_a_node_is_lost_when_it_is_silent_and_its_backend_too(there: Presence, failed: int, expected: Verdict) -> None:
    assert verdict(TENANT, make_node("gpu-1", SERVING), there, failed, CLOCKS) is expected


@given(st.lists(st.floats(0.1, 40), max_size=30), st.floats(0, 60))
def test_whoever_takes_sessions_is_heard_now_and_was_steady(gaps: list[float], asked_after: float) -> None:
    now, node = NOW, at(make_node(), NOW)
    last_return = None
    for gap in gaps:
        now += gap
        node = at(make_node(), now, node)
        last_return = now if gap > CLOCKS.suspect_s else last_return
    now += asked_after
    if takes_sessions(node, now, CLOCKS):
        assert asked_after <= CLOCKS.suspect_s
        assert last_return is None or now - last_return >= CLOCKS.settle_s


@given(st.floats(0, 100), st.floats(0, 100), st.integers(0, 10))
def test_nothing_is_lost_without_silence_and_failed_probes_both(
    silent_s: float, listened_s: float, failed: int
) -> None:
    now = NOW + silent_s
    node = at(make_node("gpu-1", SERVING), NOW)
    there = presence(node, now, CLOCKS, listening_since=now - listened_s)
    if verdict(TENANT, node, there, failed, CLOCKS) is Verdict.LOST:
        assert min(silent_s, listened_s) >= CLOCKS.grace_s
        assert failed >= CLOCKS.probes
