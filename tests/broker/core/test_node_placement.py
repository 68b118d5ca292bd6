from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.core.catalog import Profile
from broker.core.ledger import Claim, Ledger, claims_of, node_pool, pools_of
from broker.core.node import Fleet, Node, SlotState, heard
from broker.core.node_placement import slots_of
from broker.core.placement import choose_slot, placed_or_waiting
from broker.core.session import Phase, Session
from broker.core.slot import SlotRef, node_slot_claim
from tests.broker.nodes import CLOCKS, make_node, make_slot
from tests.broker.samples import RELAY, SESSION_ID, make_profile, make_session, session_id

NOW = 1000.0
NOTHING = Ledger({}, {})
PROFILE = replace(make_profile(), provider="static", labels={"gpu": "l40s"})


def fleet_of(*nodes: Node) -> Fleet:
    return Fleet({node.name: heard(None, node, NOW, CLOCKS) for node in nodes}, CLOCKS, NOW)


def gpu(name: str, slots: int = 2, **more: str) -> Node:
    return make_node(name, *(make_slot(number) for number in range(slots)), labels={"gpu": "l40s"}, zone="hall-1")


def chosen(fleet: Fleet, ledger: Ledger = NOTHING, *, profile: Profile = PROFILE, number: int = 7) -> SlotRef | None:
    return choose_slot(profile, session_id(number), ledger, fleet=fleet, now=NOW)


def test_a_slot_tells_its_node_and_zone() -> None:
    slot = chosen(fleet_of(gpu("gpu-1")))
    assert slot == SlotRef("static", "default", 0, "gpu-1-0-8d5f4c2e", "gpu-1", "hall-1")
    assert slot.claim == node_slot_claim("gpu-1", 0)
    assert slot.is_of(SESSION_ID) and not slot.is_of("11111111-1f0a-4a5b-9c3d-7e6f5a4b3c2d")


def test_a_slot_of_a_node_belongs_to_all_profiles_at_once() -> None:
    fleet = fleet_of(gpu("gpu-1", 1))
    other = chosen(fleet, profile=replace(PROFILE, id="other"))
    assert other is not None
    assert chosen(fleet, Ledger({other.claim: Claim("someone")}, {})) is None


def test_the_least_loaded_node_is_taken() -> None:
    fleet = fleet_of(gpu("gpu-1", 4), gpu("gpu-2", 2), gpu("gpu-3", 1))
    counts = {node_pool("gpu-1"): 1, node_pool("gpu-2"): 1, node_pool("gpu-3"): 1}
    slot = chosen(fleet, Ledger({node_slot_claim("gpu-1", 0): Claim("someone")}, counts))
    assert slot is not None and (slot.node, slot.number) == ("gpu-1", 1)


def test_brokers_that_place_at_once_begin_at_different_nodes() -> None:
    fleet = fleet_of(*(gpu(f"gpu-{number}") for number in range(8)))
    slots = [chosen(fleet, number=number) for number in range(32)]
    assert len({slot.node for slot in slots if slot is not None}) == 8


def test_idle_backends_come_before_those_that_are_not_known_to_be_and_broken_ones_never() -> None:
    states = (SlotState.STARTING, SlotState.FAILED, SlotState.CLAIMED, SlotState.IDLE)
    slots = [make_slot(number, state=state) for number, state in enumerate(states)]
    fleet = fleet_of(make_node("gpu-1", *slots, labels={"gpu": "l40s"}))
    claims: dict[str, Claim] = {}
    order = []
    while (slot := chosen(fleet, Ledger(claims, {}))) is not None:
        order.append(states[slot.number])
        claims[slot.claim] = Claim("someone")
    assert order == [SlotState.IDLE, SlotState.CLAIMED, SlotState.STARTING]
    assert slots_of(PROFILE, fleet, NOW) == 3


def test_nodes_that_do_not_suit_or_are_not_heard_get_nothing() -> None:
    assert chosen(fleet_of(make_node("gpu-1", labels={"gpu": "a10"}))) is None
    assert chosen(Fleet()) is None
    assert choose_slot(PROFILE, SESSION_ID, NOTHING, fleet=fleet_of(gpu("gpu-1")), now=NOW + 60) is None
    assert slots_of(PROFILE, fleet_of(gpu("gpu-1")), NOW + 60) == 0
    assert chosen(fleet_of(replace(gpu("gpu-1"), slots=()))) is None


def test_in_a_fleet_of_many_the_only_free_slot_is_found_wherever_it_is() -> None:
    fleet = fleet_of(*(gpu(f"gpu-{number}", 1) for number in range(100)))
    for free in (0, 31, 32, 99):
        counts = {node_pool(f"gpu-{number}"): 1 for number in range(100) if number != free}
        slot = chosen(fleet, Ledger({}, counts))
        assert slot is not None and slot.node == f"gpu-{free}"


def test_a_fleet_of_many_is_loaded_evenly() -> None:
    fleet = fleet_of(*(gpu(f"gpu-{number}", 4) for number in range(100)))
    claims: dict[str, Claim] = {}
    pools: dict[str, int] = {}
    for number in range(200):
        slot = chosen(fleet, Ledger(claims, pools), number=number * 331)
        assert slot is not None
        claims[slot.claim] = Claim("someone")
        pools[node_pool(slot.node)] = pools.get(node_pool(slot.node), 0) + 1
    assert max(pools.values()) <= 3


NEWCOMER = replace(make_session(), slot=None)


def test_a_newcomer_waits_until_a_node_is_there() -> None:
    relays = {"relay-a": RELAY}
    waiting, _ = placed_or_waiting(NEWCOMER, PROFILE, relays, NOTHING, NOW)
    assert (waiting.slot, waiting.phase) == (None, Phase.QUEUED)
    placed, _ = placed_or_waiting(NEWCOMER, PROFILE, relays, NOTHING, NOW, fleet=fleet_of(gpu("gpu-1")))
    assert placed.slot is not None and placed.slot.node == "gpu-1"
    assert node_pool("gpu-1") in pools_of(placed)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 24))
def test_no_slot_gets_two_owners_and_every_free_one_is_found(sizes: list[int], sessions: int) -> None:
    fleet = fleet_of(*(gpu(f"gpu-{number}", size) for number, size in enumerate(sizes)))
    claims: dict[str, Claim] = {}
    pools: dict[str, int] = {}
    placed: list[Session] = []
    for number in range(sessions):
        slot = chosen(fleet, Ledger(claims, pools), number=number)
        assert (slot is None) == (len(placed) == sum(sizes))
        if slot is None:
            continue
        session = replace(make_session(), id=session_id(number), slot=slot)
        assert not claims.keys() & claims_of(session)
        claims |= {claim: Claim(session.id) for claim in claims_of(session)}
        pools[node_pool(slot.node)] = pools.get(node_pool(slot.node), 0) + 1
        placed.append(session)
    loads = [pools.get(node_pool(f"gpu-{number}"), 0) / size for number, size in enumerate(sizes)]
    assert max(loads) - min(loads) <= 1
