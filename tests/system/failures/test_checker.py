"""The checker accepts what was promised and rejects everything else: a rule that never speaks is worth nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ledger import ALL_SESSIONS, queue_pool, relay_pool, share_pool
from tests.system.failures.checker import RULES, violations
from tests.system.failures.history import (
    Call,
    CallKind,
    Cut,
    DataLoss,
    Flow,
    Held,
    History,
    Holdings,
    Outage,
    Part,
    as_json,
)

SLOT_POOLS = ("slots/static/default", "node/n1")


def create(session: str, at: float, *, key: str = "", broker: str = "b1", status: int | None = 202) -> Call:
    made = session if status in (200, 202) else None
    return Call(CallKind.CREATE, broker, at, at + 0.1, status, made, key or f"key-{session}")


def get(session: str, at: float, status: int = 200, *, broker: str = "b1", reason: str | None = None) -> Call:
    return Call(CallKind.GET, broker, at, at + 0.1, status, session, ready=status == 200, reason=reason)


def delete(session: str, at: float, status: int | None = 204) -> Call:
    return Call(CallKind.DELETE, "b1", at, at + 0.1, status, session)


def held(session: str, number: int = 0, *, state: str = "ready", reason: str | None = None) -> Held:
    if state != "ready":
        return Held(session, f"key-{session}", state, "me", "default", reason, idempotency=f"idempotency/{session}")
    return Held(
        id=session,
        key=f"key-{session}",
        state=state,
        share="me",
        profile="default",
        slot=f"slot/node/n1/{number}",
        slot_pools=SLOT_POOLS,
        relay="r1",
        ports=(31000 + 2 * number, 31001 + 2 * number),
        idempotency=f"idempotency/{session}",
    )


def holding(*sessions: Held, pools: Mapping[str, int] | None = None) -> Holdings:
    """What adds up with these sessions."""
    claims: dict[str, str | None] = {"port/r1/31999": None}
    counts: dict[str, int] = {}
    for one in sessions:
        claims |= {f"port/r1/{port}": one.id for port in one.ports}
        if one.slot is not None:
            claims[one.slot] = one.id
        if one.idempotency is not None:
            claims[one.idempotency] = one.id
        names = [ALL_SESSIONS, share_pool(one.share)] if one.state != "ended" else []
        names += [relay_pool("r1"), *one.slot_pools] if one.slot is not None else []
        names += [queue_pool(one.profile)] if one.state == "pending" else []
        counts |= {name: counts.get(name, 0) + 1 for name in names}
    return Holdings(
        sessions,
        claims,
        {**counts, **(pools or {})},
        tuple((f"node/{one.slot}", one.id) for one in sessions if one.state == "ready"),
        {"r1": frozenset(port for one in sessions for port in one.ports)},
    )


def flow(session: str = "s1", *, began: float = 2, ended: float = 100, left: bool = True, relay: str = "r1") -> Flow:
    return Flow(session, relay, "n1", began, ended, 2000, 2000, left)


GOOD = History(
    calls=(
        create("s1", 1),
        get("s1", 2),
        create("s2", 3),
        get("s2", 4, 202),
        delete("s2", 5),
        get("s2", 6, 404),
        Call(CallKind.LIST, "b1", 7, 7.1, 200),
        Call(CallKind.GET, "b1", 8, 16, 200, "s1", ready=True, wait_s=10),
    ),
    holdings=holding(held("s1"), held("s2", state="ended", reason="deleted")),
    flows=(flow(),),
)
STORE_AWAY = Outage(Part.STORE, "redis", 20, 30)


def with_calls(*calls: Call, outages: tuple[Outage, ...] = ()) -> History:
    return replace(GOOD, calls=GOOD.calls + calls, outages=outages)


def rules_broken_by(history: History) -> set[str]:
    return {violation.rule for violation in violations(history)}


def test_a_history_in_which_all_was_as_promised_breaks_no_rule() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("outage", "call"),
    [
        (STORE_AWAY, replace(get("s1", 21, 503), retry_after=True)),
        (STORE_AWAY, replace(get("s1", 33, 503), retry_after=True)),
        (Outage(Part.BROKERS_WAY, "b1", 20, 30), replace(get("s1", 21, 503), retry_after=True)),
        (Outage(Part.BROKER, "b1", 20, 30), replace(get("s1", 31, 503), retry_after=True)),
        (Outage(Part.BROKER, "b1", 20, 30), Call(CallKind.GET, "b1", 19, 21, None, "s1")),
        (Outage(Part.BROKER, "b1", 20, 30), Call(CallKind.GET, "b1", 19, 31, 200, "s1")),
        (STORE_AWAY, delete("s1", 21, None)),
    ],
)
def test_an_outage_excuses_what_it_explains(outage: Outage, call: Call) -> None:
    excused = with_calls(call, outages=(outage,))
    if call.kind is CallKind.DELETE:
        excused = replace(excused, outages=(outage, Outage(Part.BROKER, "b1", 20, 30)))
    assert violations(excused) == []


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (Call(CallKind.GET, "b1", 40, 45.5, 200, "s1", ready=True), "late"),
        (Call(CallKind.GET, "b1", 40, 55.5, 200, "s1", ready=True, wait_s=10), "late"),
        (Call(CallKind.LIST, "b1", 40, 41, None), "no answer"),
        (get("s1", 40, 500), "status"),
        (get("s1", 40, 409), "status"),
        (Call(CallKind.LIST, "b1", 40, 41, 503, retry_after=True), "503"),
        (Call(CallKind.LIST, "b1", 21, 22, 503), "retry-after"),
        (get("s1", 40, 404), "404"),
        (get("s1", 21, 404), "404"),
        (delete("s1", 40, 404), "404"),
        (get("s2", 40, 202), "undead"),
        (create("s3", 40, key="key-s1"), "doubled"),
        (create("s4", 40), "lost"),
        (get("s1", 40, 410, reason="idle"), "lost"),
        (get("s1", 40, 410, reason="backend_failed"), "lost"),
        (get("s1", 40, 410, reason="deleted"), "lost"),
    ],
)
def test_an_answer_that_was_not_promised_is_told(call: Call, rule: str) -> None:
    assert rule in rules_broken_by(with_calls(call, outages=(STORE_AWAY,)))


def test_only_the_part_that_failed_is_excused() -> None:
    refused = Call(CallKind.LIST, "b1", 21, 22, 503, retry_after=True)
    assert rules_broken_by(with_calls(refused, outages=(Outage(Part.BROKERS_WAY, "b2", 20, 30),))) == {"503"}
    late = Outage(Part.STORE, "redis", 40, 50)
    assert rules_broken_by(with_calls(refused, outages=(late,))) == {"503"}
    silent = Call(CallKind.LIST, "b1", 21, 22, None)
    assert rules_broken_by(with_calls(silent, outages=(STORE_AWAY, Outage(Part.BROKER, "b2", 20, 30)))) == {"no answer"}


def test_a_loss_of_data_excuses_its_own_window_alone() -> None:
    young, old = create("s8", 18.5), create("s9", 17.5)
    history = replace(with_calls(young, old), losses=(DataLoss(went=20, at=21, window_s=2),))
    assert [(found.rule, found.about) for found in violations(history)] == [("lost", "s9")]
    asked = replace(history, calls=(*history.calls, get("s8", 30, 404), get("s9", 30, 404)))
    assert {found.text.split()[2] for found in violations(asked) if found.rule == "404"} == {"s9,"}
    before = replace(history, calls=(*history.calls, get("s8", 19, 404)))
    assert "404" in rules_broken_by(before)


def test_a_loss_of_all_data_excuses_who_was_not_ready() -> None:
    waiting = with_calls(create("s8", 10))
    assert rules_broken_by(waiting) == {"lost"}
    emptied = replace(waiting, losses=(DataLoss(went=20, at=21, window_s=0, queue_too=True),))
    assert violations(emptied) == []
    was_ready = replace(emptied, calls=(*emptied.calls, get("s8", 12)))
    assert rules_broken_by(was_ready) == {"lost"}


def test_a_delete_is_undone_by_a_loss_of_data_alone() -> None:
    back = with_calls(create("s3", 10), delete("s3", 19.5), get("s3", 30, 200))
    back = replace(back, holdings=holding(held("s1"), held("s3", 1)))
    assert rules_broken_by(back) == {"undead"}
    assert violations(replace(back, losses=(DataLoss(20, 21, 2),))) == []
    assert rules_broken_by(replace(back, losses=(DataLoss(25, 26, 2),))) == {"undead"}


def test_a_session_whose_delete_was_undone_ends_with_the_backend_that_it_gave_back() -> None:
    gone = with_calls(create("s3", 10), delete("s3", 19.5), get("s3", 30, 410, reason="backend_failed"))
    assert rules_broken_by(gone) == {"lost"}
    assert violations(replace(gone, losses=(DataLoss(20, 21, 2),))) == []
    assert rules_broken_by(replace(gone, losses=(DataLoss(25, 26, 2),))) == {"lost"}


@pytest.mark.parametrize("reason", ["node_lost", "backend_failed", "start_timeout"])
def test_a_node_that_failed_ends_its_sessions(reason: str) -> None:
    gone = replace(
        GOOD,
        calls=(*GOOD.calls, get("s1", 40, 410, reason=reason)),
        holdings=holding(held("s1", state="ended", reason=reason)),
    )
    assert "lost" in rules_broken_by(gone)
    failed = replace(gone, outages=(Outage(Part.NODE, "n1", 30, 60),))
    assert violations(failed) == []
    later = replace(gone, outages=(Outage(Part.NODE, "n1", 50, 60),))
    assert rules_broken_by(later) == {"lost"}
    another = replace(gone, outages=(Outage(Part.NODE, "n2", 30, 60), Outage(Part.BACKEND, "s3", 30, 30)))
    assert rules_broken_by(another) == {"lost"}
    its_backend = replace(gone, outages=(Outage(Part.BACKEND, "s1", 30, 30),))
    assert violations(its_backend) == []


@pytest.mark.parametrize("reason", ["relay_lost", "never_connected", "disconnected", "max_length", None])
def test_no_failure_ends_a_session_for_another_reason(reason: str | None) -> None:
    everything = tuple(Outage(part, name, 0, 100) for part in Part for name in ("n1", "s1", "b1", "r1"))
    gone = replace(GOOD, outages=everything, holdings=holding(held("s1", state="ended", reason=reason)))
    assert "lost" in rules_broken_by(gone)


def test_what_ended_with_its_backend_cannot_be_deleted_and_is_found() -> None:
    crashed = (Outage(Part.BACKEND, "s1", 30, 30),)
    gone = replace(GOOD, holdings=holding(held("s1", state="ended", reason="backend_failed")), outages=crashed)
    assert violations(replace(gone, calls=(*gone.calls, delete("s1", 40, 404)))) == []
    assert rules_broken_by(replace(gone, calls=(*gone.calls, delete("s1", 20, 404)))) == {"404"}
    assert rules_broken_by(replace(gone, calls=(*gone.calls, get("s1", 40, 404)))) == {"404"}


def test_who_is_still_pending_in_the_end_is_told() -> None:
    history = replace(GOOD, holdings=holding(held("s1", state="pending")))
    assert rules_broken_by(history) == {"unresolved"}


def test_a_session_whose_caller_never_heard_of_it_comes_from_an_open_question() -> None:
    history = replace(GOOD, holdings=holding(held("s1"), held("s5", 1)))
    assert rules_broken_by(history) == {"stranger"}
    down = Outage(Part.BROKER, "b1", 40, 50)
    asked = replace(history, calls=(*GOOD.calls, create("s5", 41, status=None)), outages=(down,))
    assert violations(asked) == []
    answered = replace(asked, calls=(*asked.calls, create("s6", 51, key="key-s5"), delete("s6", 52)))
    assert rules_broken_by(answered) == {"stranger"}


def test_two_sessions_of_one_key_are_told() -> None:
    twin = replace(held("s6", 1), key="key-s1")
    assert "doubled" in rules_broken_by(replace(GOOD, holdings=holding(held("s1"), twin)))


@pytest.mark.parametrize(
    ("twin", "rule"),
    [
        (replace(held("s1"), id="s7", key="key-s7", ports=(31900, 31901), idempotency=None), "slot/node/n1/0"),
        (replace(held("s7", 1), ports=(31001, 31901)), "port/r1/31001"),
    ],
)
def test_a_place_that_two_sessions_hold_is_told(twin: Held, rule: str) -> None:
    found = violations(replace(GOOD, holdings=holding(held("s1"), twin)))
    assert ("doubled", rule) in {(one.rule, one.about) for one in found}


def test_claims_have_to_follow_from_sessions_both_ways() -> None:
    holdings = GOOD.holdings
    leaked = replace(holdings, claims={**holdings.claims, "slot/node/n1/5": "s9"})
    assert rules_broken_by(replace(GOOD, holdings=leaked)) == {"claim"}
    for claim in held("s1").slot, "port/r1/31000", "idempotency/s1":
        missing = {key: owner for key, owner in holdings.claims.items() if key != claim}
        assert rules_broken_by(replace(GOOD, holdings=replace(holdings, claims=missing))) == {"claim"}
        lingers = {**holdings.claims, str(claim): None}
        assert rules_broken_by(replace(GOOD, holdings=replace(holdings, claims=lingers))) == {"claim"}


@pytest.mark.parametrize("pool", [ALL_SESSIONS, share_pool("me"), relay_pool("r1"), *SLOT_POOLS, queue_pool("default")])
@pytest.mark.parametrize("wrong", [0, 2, -1])
def test_pools_have_to_count_their_sessions(pool: str, wrong: int) -> None:
    waits = replace(held("s4", state="pending"), idempotency=None)
    right = holding(held("s1"), waits)
    drifted = {**right.pools, pool: wrong if right.pools[pool] != wrong else wrong + 5}
    assert "pool" in rules_broken_by(replace(GOOD, holdings=replace(right, pools=drifted)))
    assert "pool" not in rules_broken_by(replace(GOOD, holdings=right))


def test_a_backend_that_serves_nobody_or_is_missing_is_told() -> None:
    holdings = GOOD.holdings
    leaked = replace(holdings, backends=(*holdings.backends, ("n1/3", "s2")))
    assert rules_broken_by(replace(GOOD, holdings=leaked)) == {"leak"}
    assert rules_broken_by(replace(GOOD, holdings=replace(holdings, backends=()))) == {"backends"}
    doubled = replace(holdings, backends=(*holdings.backends, ("n1/3", "s1")))
    assert rules_broken_by(replace(GOOD, holdings=doubled)) == {"backends"}
    given_twice = replace(holdings, refused_activations=(("n1/0", "s9"),))
    assert rules_broken_by(replace(GOOD, holdings=given_twice)) == {"doubled"}


@pytest.mark.parametrize("bound", [frozenset[int](), frozenset({31000}), frozenset({31000, 31001, 31002})])
def test_a_relay_binds_what_its_sessions_hold(bound: frozenset[int]) -> None:
    assert rules_broken_by(replace(GOOD, holdings=replace(GOOD.holdings, bound={"r1": bound}))) == {"leak"}


CUT = Cut(40, 43, 60)


@pytest.mark.parametrize(
    ("outage", "excused"),
    [
        (Outage(Part.RELAY, "r1", 39.5, 50), True),
        (Outage(Part.NODE, "n1", 41, 50), True),
        (Outage(Part.BACKEND, "s1", 39.5, 39.5), True),
        (Outage(Part.BACKEND, "s2", 39.5, 39.5), False),
        (Outage(Part.RELAY, "r2", 39.5, 50), False),
        (Outage(Part.RELAY, "r1", 50, 60), False),
        (Outage(Part.STORE, "redis", 39, 50), False),
        (Outage(Part.BROKER, "b1", 39, 50), False),
        (Outage(Part.RELAYS_WAY, "r1", 39, 50), False),
    ],
)
def test_datagrams_pass_while_relay_and_node_live(outage: Outage, excused: bool) -> None:
    history = replace(GOOD, flows=(replace(flow(), cuts=(CUT,)),), outages=(outage,))
    assert rules_broken_by(history) == (set() if excused else {"cut"})


@pytest.mark.parametrize("cut", [Cut(40, 40.9, 60), Cut(40, 43, 9)])
def test_a_few_datagrams_are_no_cut(cut: Cut) -> None:
    assert violations(replace(GOOD, flows=(replace(flow(), cuts=(cut,)),))) == []


def rerouted(after_s: float, *outages: Outage) -> History:
    first, second = flow(ended=40, left=False), flow(began=40 + after_s, relay="r2")
    return replace(GOOD, flows=(first, second), outages=outages)


def test_a_viewer_has_another_path_in_time_after_its_relay_was_lost() -> None:
    killed = Outage(Part.RELAY, "r1", 39.8, 90)
    assert violations(rerouted(9, killed)) == []
    assert rules_broken_by(rerouted(11, killed)) == {"slow"}
    assert rules_broken_by(rerouted(9)) == {"cut"}


def test_the_time_of_a_reroute_counts_from_when_all_that_it_needs_was_there() -> None:
    killed = Outage(Part.RELAY, "r1", 39.8, 90)
    away, again = Outage(Part.STORE, "redis", 42, 55), Outage(Part.BROKER, "b1", 60, 63)
    assert violations(rerouted(32, killed, again, away)) == []
    assert rules_broken_by(rerouted(34, killed, again, away)) == {"slow"}
    assert rules_broken_by(rerouted(24, killed, again)) == {"slow"}


def test_a_viewer_is_never_left_without_a_path() -> None:
    killed = Outage(Part.RELAY, "r1", 39.8, 90)
    left_alone = replace(GOOD, flows=(flow(ended=40, left=False),), outages=(killed,))
    assert rules_broken_by(left_alone) == {"cut"}
    of_the_deleted = replace(left_alone, flows=(flow("s2", ended=40, left=False),))
    assert violations(of_the_deleted) == []
    its_node_went = Outage(Part.NODE, "n1", 38, 90)
    assert violations(replace(left_alone, outages=(killed, its_node_went))) == []
    for part, name in ((Part.NODE, "n1"), (Part.BACKEND, "s1")):
        in_between, too_late = Outage(part, name, 45, 90), Outage(part, name, 51, 90)
        assert violations(replace(left_alone, outages=(killed, in_between))) == []
        assert rules_broken_by(replace(left_alone, outages=(killed, too_late))) == {"cut"}


@given(st.sampled_from(RULES), st.lists(st.floats(10, 90), max_size=5))
def test_no_rule_needs_another_or_minds_the_order_of_calls(rule: object, times: list[float]) -> None:
    """Each rule is told by one history at least that breaks it alone: see above; here, that all read any order."""
    gets = tuple(get("s1", at) for at in times)
    shuffled = replace(GOOD, calls=tuple(reversed(GOOD.calls + gets)))
    assert rule in RULES
    assert violations(shuffled) == []


def test_a_history_is_written_down_whole() -> None:
    assert '"s1"' in as_json(GOOD) and "31001" in as_json(GOOD)
