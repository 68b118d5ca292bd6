from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ledger import (
    PORT_LINGER_S,
    PORT_SET_ASIDE_S,
    Claim,
    Ledger,
    claims_of,
    lingering,
    port_claim,
    port_claims,
)
from broker.core.session import RelayPorts
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
    ledger = Ledger({port_claim("relay-a", 31000): Claim("s"), port_claim("relay-a", 31001): Claim(None, 5.0)})
    assert not ledger.is_free(port_claim("relay-a", 31000))
    assert not ledger.is_free(port_claim("relay-a", 31001))
    assert ledger.is_free(port_claim("relay-b", 31000))


def test_load_counts_sessions_of_one_relay_and_not_what_lingers() -> None:
    claims = {
        "port/relay-a/31000": Claim("one"),
        "port/relay-a/31001": Claim("one"),
        "port/relay-a/31002": Claim("two"),
        "port/relay-a/31004": Claim(None, 9.0),
        "port/relay-b/31000": Claim("three"),
        "slot/process/default/0": Claim("one"),
    }
    assert Ledger(claims).load("relay-a") == 2
    assert Ledger(claims).load("relay-b") == 1
    assert Ledger(claims).load("relay") == 0


def test_ports_given_back_linger() -> None:
    before = with_ports(make_session())
    assert lingering(before, replace(before, ports=None), 10.0) == {
        "port/relay-a/31000": 10.0 + PORT_LINGER_S,
        "port/relay-a/31001": 10.0 + PORT_LINGER_S,
    }


def test_ports_left_for_others_are_set_aside_for_longer() -> None:
    before = with_ports(make_session())
    until = lingering(before, replace(before, ports=OTHER_PORTS), 10.0)
    assert set(until.values()) == {10.0 + PORT_SET_ASIDE_S}


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
