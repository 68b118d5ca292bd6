from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ledger import WAITING_FOR_PORTS, Claim, Ledger, port_claim, queue_pool, relay_pool, slots_pool
from broker.core.placement import choose_ports, choose_slot, placed_or_waiting
from broker.core.session import Phase
from broker.core.slot import slot_claim
from signaling.routes import PortRange, RelayInfo, RelayLoad
from tests.broker.samples import RELAY, SESSION_ID, make_profile, make_session, session_id

NOTHING = Ledger({}, {})


def claims_on_relay(relay: RelayInfo, *ports: int) -> dict[str, Claim]:
    return {port_claim(relay.id, port): Claim(f"owner of {port}") for port in ports}


def ledger_of(claims: dict[str, Claim], **pools: int) -> Ledger:
    """`pools` are relays by their id with underscores."""
    return Ledger(claims, {relay_pool(name.replace("_", "-")): count for name, count in pools.items()})


def test_the_first_free_slot_is_chosen() -> None:
    taken = ledger_of({slot_claim("process", "default", 0): Claim("other")})
    slot = choose_slot(make_profile(slots=2), SESSION_ID, taken)
    assert slot is not None
    assert (slot.provider, slot.profile, slot.number) == ("process", "default", 1)


def test_the_same_slot_has_another_id_for_another_session() -> None:
    first = choose_slot(make_profile(), "11111111-1f0a-4a5b-9c3d-7e6f5a4b3c2d", NOTHING)
    second = choose_slot(make_profile(), "22222222-1f0a-4a5b-9c3d-7e6f5a4b3c2d", NOTHING)
    assert first is not None and second is not None
    assert first.claim == second.claim
    assert first.id != second.id


def test_no_slot_is_chosen_when_all_are_taken() -> None:
    claims = {slot_claim("process", "default", number): Claim("other") for number in range(2)}
    assert choose_slot(make_profile(slots=2), SESSION_ID, ledger_of(claims)) is None
    counted = Ledger({}, {slots_pool("process", "default"): 2})
    assert choose_slot(make_profile(slots=2), SESSION_ID, counted) is None, "it is not looked through in vain"


@given(st.integers(0, 2**16 - 1), st.sets(st.integers(0, 199)))
def test_any_slot_of_many_that_is_free_is_found(number: int, taken: set[int]) -> None:
    claims = {slot_claim("process", "default", number): Claim("other") for number in taken}
    slot = choose_slot(make_profile(slots=200), session_id(number), ledger_of(claims))
    assert (slot is None) == (len(taken) == 200)
    assert slot is None or slot.number not in taken


def test_each_start_of_a_session_has_a_slot_id_of_its_own() -> None:
    runs = [choose_slot(make_profile(), SESSION_ID, NOTHING, run=run) for run in range(3)]
    assert len({slot.id for slot in runs if slot is not None}) == 3


def test_no_ports_are_chosen_without_a_relay() -> None:
    assert choose_ports({}, NOTHING, SESSION_ID) is None


def test_clients_are_told_the_relays_own_host() -> None:
    ports = choose_ports({"relay-a": replace(RELAY, host="relay.example")}, NOTHING, SESSION_ID)
    assert ports is not None
    assert (ports.relay_id, ports.host) == ("relay-a", "relay.example")


def test_the_emptier_relay_is_taken() -> None:
    other = replace(RELAY, id="relay-b", capacity=2)
    ledger = ledger_of({}, relay_a=2, relay_b=1)
    ports = choose_ports({"relay-a": RELAY, "relay-b": other}, ledger, SESSION_ID)
    assert ports is not None and ports.relay_id == "relay-a"


def chosen(*relays: RelayInfo, ledger: Ledger = NOTHING, zone: str = "") -> str | None:
    ports = choose_ports({relay.id: relay for relay in relays}, ledger, SESSION_ID, zone=zone)
    return None if ports is None else ports.relay_id


def test_a_relay_of_the_backends_zone_comes_before_an_emptier_one_of_another() -> None:
    here, there = replace(RELAY, zone="here"), replace(RELAY, id="relay-b", zone="there")
    ledger = ledger_of({}, relay_b=2)
    assert chosen(here, there, ledger=ledger, zone="there") == "relay-b"
    assert chosen(here, there, ledger=ledger) == "relay-a", "a backend of no zone goes by the load alone"
    assert chosen(here, replace(there, draining=True), zone="there") == "relay-a", "another zone's is better than none"


def test_of_relays_about_as_full_the_one_that_carries_the_least_is_taken() -> None:
    busy = replace(RELAY, capacity=100, load=RelayLoad(40, 9000.0))
    calm = replace(RELAY, id="relay-b", capacity=100, load=RelayLoad(41, 2000.0))
    assert chosen(busy, calm, ledger=ledger_of({}, relay_a=40, relay_b=41)) == "relay-b"
    assert chosen(busy, calm, ledger=ledger_of({}, relay_a=40, relay_b=50)) == "relay-a"


def test_a_draining_or_full_relay_takes_no_session() -> None:
    draining = replace(RELAY, draining=True)
    closed = replace(RELAY, id="relay-b", capacity=0)
    full = replace(RELAY, id="relay-c", capacity=1)
    relays = {relay.id: relay for relay in (draining, closed, full)}
    assert choose_ports(relays, ledger_of({}, relay_c=1), SESSION_ID) is None


def test_a_relay_without_ports_left_is_passed_over() -> None:
    crowded = replace(RELAY, ports=PortRange(31000, 31001))
    other = replace(RELAY, id="relay-b")
    lingering = {port_claim("relay-a", 31001): Claim(None, 5.0)}
    ports = choose_ports({"relay-a": crowded, "relay-b": other}, ledger_of(lingering), SESSION_ID)
    assert ports is not None and ports.relay_id == "relay-b"


def test_a_pair_known_to_be_taken_is_avoided() -> None:
    relays = {"relay-a": replace(RELAY, ports=PortRange(31000, 31001))}
    first = choose_ports(relays, NOTHING, SESSION_ID)
    assert first is not None
    assert choose_ports(relays, NOTHING, SESSION_ID, avoid=first) is None


def test_another_attempt_starts_elsewhere() -> None:
    relays = {"relay-a": replace(RELAY, ports=PortRange(31000, 31999))}
    assert choose_ports(relays, NOTHING, SESSION_ID) != choose_ports(relays, NOTHING, SESSION_ID, attempt=1)


@given(
    st.integers(0, 2**16 - 1),
    st.integers(0, 20),
    st.integers(31000, 31003),
    st.integers(1, 12),
    st.sets(st.integers(31000, 31016)),
)
def test_a_pair_is_free_and_in_range_or_no_pair_is_free(
    number: int, attempt: int, low: int, width: int, taken: set[int]
) -> None:
    relay = replace(RELAY, ports=PortRange(low, low + width), capacity=1000)
    ports = choose_ports(
        {relay.id: relay}, ledger_of(claims_on_relay(relay, *taken)), session_id(number), attempt=attempt
    )
    free_pairs = [p for p in range(low, low + width, 2) if p not in taken and p + 1 not in taken]
    assert (ports is None) == (not free_pairs)
    if ports is not None:
        assert ports.signaling_port in free_pairs
        assert ports.media_port == ports.signaling_port + 1


NEWCOMER = replace(make_session(), slot=None)


def test_a_newcomer_is_placed_where_nobody_waits() -> None:
    session, bounds = placed_or_waiting(NEWCOMER, make_profile(), {"relay-a": RELAY}, NOTHING, 1000.0)
    assert session.slot is not None and session.ports is not None
    assert (session.phase, session.placed_at) == (Phase.STARTING, 1000.0)
    assert bounds == {queue_pool("default"): 0, WAITING_FOR_PORTS: 0, relay_pool("relay-a"): RELAY.capacity}


def test_a_slot_is_enough_while_no_relay_is_there() -> None:
    session, bounds = placed_or_waiting(NEWCOMER, make_profile(), {}, NOTHING, 1000.0)
    assert (session.slot is None, session.ports, session.phase, session.placed_at) == (False, None, Phase.PLACING, None)
    assert bounds == {queue_pool("default"): 0, WAITING_FOR_PORTS: 0}


@given(st.sampled_from(("slots", "ports", "queue", "waiting for ports")))
def test_a_newcomer_waits_where_something_lacks_or_others_wait(why: str) -> None:
    pools = {
        "slots": {slots_pool("process", "default"): 2},
        "ports": {relay_pool("relay-a"): RELAY.capacity},
        "queue": {queue_pool("default"): 1},
        "waiting for ports": {WAITING_FOR_PORTS: 1},
    }
    relays, profile = {"relay-a": RELAY}, replace(make_profile(), queue=7)
    session, bounds = placed_or_waiting(NEWCOMER, profile, relays, Ledger({}, pools[why]), 1000.0)
    assert (session.slot, session.ports, session.phase) == (None, None, Phase.QUEUED)
    assert bounds == {queue_pool("default"): 7}
