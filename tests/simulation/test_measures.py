from dataclasses import replace

from broker.core.ledger import Claim, Ledger, claims_of, pools_of, relay_pool
from simulation.measures import faults_of_books, fleet_sample
from tests.broker.samples import RELAY, make_session, with_ports

SESSION = with_ports(make_session())
CLAIMS = {key: SESSION.id for key in claims_of(SESSION)}
POOLS = dict.fromkeys(pools_of(SESSION), 1)


def faults(claims: dict[str, str | None], pools: dict[str, int]) -> list[str]:
    return faults_of_books([SESSION], claims, Ledger({}, pools))


def test_books_that_add_up_have_no_fault() -> None:
    assert faults({**CLAIMS, "port/relay-a/40000": None}, POOLS) == []


def test_each_kind_of_fault_is_found() -> None:
    key = min(CLAIMS)
    assert f"{key} of session {SESSION.id} belongs to someone" in faults({**CLAIMS, key: "someone"}, POOLS)
    assert f"{key} of session {SESSION.id} belongs to None" in faults({**CLAIMS, key: None}, POOLS)
    assert faults({**CLAIMS, "slot/leaked": "nobody"}, POOLS) == ["4 claims have an owner, sessions hold 3"]
    assert faults(dict(CLAIMS), {**POOLS, "sessions": 2}) == ["sessions counts 2, not 1"]


def test_a_sample_tells_lone_ports_and_slots_that_nobody_who_waits_can_use() -> None:
    claims = {f"port/relay-a/{port}": Claim(None, 5.0) for port in (31000, 31002, 31003)}
    waiting = replace(make_session(), slot=None, profile="whole")
    ledger = Ledger(claims, {relay_pool("relay-a"): 5, "slots/static/shared": 3})
    sample = fleet_sample(7.0, [waiting], ledger, {"relay-a": RELAY}, {"shared": 4, "whole": 0})
    assert (sample.queued, sample.stranded, sample.used) == (1, 1, 0.75)
    assert sample.relay_fill == (0.5, 0.5, 0.5)
    assert (sample.ports_used, sample.lone_ports) == (0.3, 1 / 7)
