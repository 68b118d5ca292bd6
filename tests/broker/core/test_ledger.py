from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ledger import (
    ALL_SESSIONS,
    PORT_LINGER_S,
    PORT_SET_ASIDE_S,
    WAITING_FOR_PORTS,
    Claim,
    Ledger,
    claims_of,
    lingering,
    pools_of,
    port_claim,
    port_claims,
    queue_pool,
    relay_pool,
    share_pool,
    slots_pool,
)
from broker.core.session import EndReason, Phase, RelayPorts, State, ended
from tests.broker.samples import SLOT, make_session, with_ports

OTHER_PORTS = RelayPorts("relay-a", "127.0.0.1", 31002, 31003)


def test_a_session_claims_its_slot_its_ports_and_its_request() -> None:
    session = replace(with_ports(make_session()), idempotency="idempotency/create/abc")
    assert claims_of(session) == {
        "slot/process/default/0",
        "port/relay-a/31000",
        "port/relay-a/31001",
        "idempotency/create/abc",
    }


def test_a_session_that_gave_all_back_claims_nothing() -> None:
    assert claims_of(replace(make_session(), slot=None)) == frozenset()


def test_two_occupations_of_one_slot_share_its_claim() -> None:
    assert replace(SLOT, id="later").claim == SLOT.claim


def test_a_port_that_nobody_claims_is_free_and_any_other_is_not() -> None:
    ledger = Ledger({port_claim("relay-a", 31000): Claim("s"), port_claim("relay-a", 31001): Claim(None, 5.0)}, {})
    assert not ledger.is_free(port_claim("relay-a", 31000))
    assert not ledger.is_free(port_claim("relay-a", 31001))
    assert ledger.is_free(port_claim("relay-b", 31000))
    assert ledger.owner(port_claim("relay-a", 31000)) == "s"
    assert ledger.owner(port_claim("relay-a", 31001)) is None
    assert ledger.owner(port_claim("relay-b", 31000)) is None


def test_a_pool_that_nobody_counts_in_counts_none() -> None:
    assert Ledger({}, {relay_pool("relay-a"): 2}).count(relay_pool("relay-a")) == 2
    assert Ledger({}, {relay_pool("relay-a"): 2}).count(relay_pool("relay-b")) == 0


def test_a_session_counts_where_it_has_something() -> None:
    session = with_ports(replace(make_session(), share="alice"))
    mine = {ALL_SESSIONS, share_pool("alice")}
    assert pools_of(session) == mine | {slots_pool("process", "default"), relay_pool("relay-a")}
    over = ended(session, EndReason.DELETED, "", 1.0)
    assert pools_of(over) == {slots_pool("process", "default"), relay_pool("relay-a")}, "no quota, but what it holds"
    assert pools_of(replace(over, slot=None, ports=None)) == frozenset()


def test_who_waits_counts_in_the_queue_and_who_is_stopped_in_its_quota_alone() -> None:
    waiting = replace(make_session(), slot=None, phase=Phase.QUEUED, share="alice")
    mine = {ALL_SESSIONS, share_pool("alice")}
    assert pools_of(waiting) == mine | {queue_pool("default")}
    assert pools_of(replace(waiting, phase=Phase.PLACING)) == mine | {queue_pool("default"), WAITING_FOR_PORTS}
    assert pools_of(replace(waiting, state=State.STOPPED, phase=None)) == mine


def test_ports_given_back_linger() -> None:
    before = with_ports(make_session())
    assert lingering(before, replace(before, ports=None), 10.0) == {
        "port/relay-a/31000": 10.0 + PORT_LINGER_S,
        "port/relay-a/31001": 10.0 + PORT_LINGER_S,
    }


def test_ports_that_could_not_be_bound_are_set_aside_for_longer() -> None:
    before = with_ports(make_session())
    until = lingering(before, replace(before, ports=OTHER_PORTS, route_attempts=1), 10.0)
    assert set(until.values()) == {10.0 + PORT_SET_ASIDE_S}


def test_ports_of_a_relay_that_went_away_linger() -> None:
    before = replace(with_ports(make_session()), route_attempts=1)
    until = lingering(before, replace(before, ports=OTHER_PORTS, route_attempts=0), 10.0)
    assert set(until.values()) == {10.0 + PORT_LINGER_S}


def test_ports_that_stay_do_not_linger() -> None:
    session = with_ports(make_session())
    assert lingering(session, session, 10.0) == {}
    assert lingering(make_session(), session, 10.0) == {}
    assert lingering(None, session, 10.0) == {}


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 65535), st.integers(1, 65535))
def test_no_two_ports_share_a_claim(relay: str, other: str, port: int, other_port: int) -> None:
    same = (relay, port) == (other, other_port)
    assert (port_claim(relay, port) == port_claim(other, other_port)) == same


def test_a_pair_has_two_claims() -> None:
    assert port_claims(OTHER_PORTS) == ("port/relay-a/31002", "port/relay-a/31003")
