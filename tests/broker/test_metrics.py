from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broker.core.catalog import Catalog
from broker.core.node import Fleet, NodeClocks
from broker.core.session import EndReason, Phase, Session, State, ended
from broker.metrics import Metrics, Trouble
from broker.stores.faults import Fault
from signaling.exposition import RelayCollector, RelayStateCollector
from signaling.metrics import Direction, RelayCounters, RelayState
from signaling.routes import RelayInfo
from tests.broker.nodes import make_node, make_slot
from tests.broker.samples import RELAY, make_catalog, make_profile, make_session, session_id, with_ports

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
CATALOG = make_catalog(make_profile(slots=4))
READY = replace(with_ports(make_session()), state=State.READY, phase=None, ready_at=1003.0)

Value = Callable[..., float | None]


@pytest.fixture
def metrics() -> Metrics:
    relay_alone = RelayStateCollector(lambda: RelayState(0, 0, 0, draining=False, table_is_away=False))
    return Metrics(version="1.2.3", collectors=(RelayCollector(RelayCounters()), relay_alone))


def read(
    metrics: Metrics,
    *sessions: Session,
    relays: tuple[RelayInfo, ...] = (RELAY,),
    catalog: Catalog = CATALOG,
    event_streams: int = 0,
) -> Value:
    """Every sample by name and labels."""
    text = metrics.shown(sessions, catalog, {relay.id: relay for relay in relays}, event_streams).decode()
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float | None:
        return samples.get((name, frozenset(labels.items())))

    return value


def test_the_document_lists_exactly_the_metrics_there_are(metrics: Metrics) -> None:
    text = metrics.shown([], CATALOG, {}, 0).decode()
    there = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(("| `pixelferry_", "| `process_"))]
    told = {name for row in rows for name in re.findall(r"`((?:pixelferry|process)_\w+)`", row.split("|")[1])}
    assert told == there


def test_nodes_are_counted_by_presence_and_give_their_profiles_slots(metrics: Metrics) -> None:
    nodes = [make_node("a", make_slot(0), make_slot(1)), replace(make_node("b"), left=True)]
    clocks = NodeClocks()
    fleet = Fleet({node.name: replace(node, heard_at=100.0, steady_since=100.0) for node in nodes}, clocks, 0.0)
    on_nodes = replace(make_profile(), provider="static")

    def shown(now: float) -> list[str]:
        text = metrics.shown([], make_catalog(on_nodes), {}, 0, fleet=fleet, now=now).decode()
        return [line for line in text.splitlines() if line.startswith(("pixelferry_nodes{", "pixelferry_slots{"))]

    assert 'pixelferry_slots{profile="default"} 2.0' in shown(101)
    assert {'pixelferry_nodes{presence="heard"} 1.0', 'pixelferry_nodes{presence="left"} 1.0'} <= set(shown(101))
    assert 'pixelferry_nodes{presence="suspect"} 1.0' in shown(100 + clocks.suspect_s + 1)
    assert 'pixelferry_slots{profile="default"} 0.0' in shown(100 + clocks.suspect_s + 1)
    assert 'pixelferry_nodes{presence="silent"} 1.0' in shown(100 + clocks.grace_s + 1)


def test_sessions_are_counted_by_state_and_phase_with_every_combination_there_from_the_start(metrics: Metrics) -> None:
    queued = replace(make_session(), id=session_id(1), slot=None, phase=Phase.QUEUED)
    value = read(metrics, replace(READY, viewer_present=True), queued)
    assert value("pixelferry_sessions", state="ready", phase="none") == 1
    assert value("pixelferry_sessions", state="pending", phase="queued") == 1
    assert value("pixelferry_sessions", state="pending", phase="routing") == 0
    assert value("pixelferry_queue_sessions") == 1
    assert value("pixelferry_sessions_watched") == 1


def test_what_has_ended_counts_while_it_holds_anything_and_not_longer(metrics: Metrics) -> None:
    over = ended(READY, EndReason.IDLE, "", 1100.0)
    value = read(metrics, over)
    assert value("pixelferry_sessions", state="ended", phase="none") == 1
    assert value("pixelferry_slots_used", profile="default") == 1
    value = read(metrics, replace(over, slot=None, ports=None))
    assert value("pixelferry_sessions", state="ended", phase="none") == 0
    assert value("pixelferry_slots_used", profile="default") == 0


def test_slots_follow_the_catalog(metrics: Metrics) -> None:
    assert read(metrics)("pixelferry_slots", profile="default") == 4
    value = read(metrics, catalog=Catalog({}, {}))
    assert value("pixelferry_slots", profile="default") is None


def test_relays_are_counted_with_what_they_carry(metrics: Metrics) -> None:
    value = read(metrics, READY, relays=(RELAY, replace(RELAY, id="relay-b", draining=True)))
    assert value("pixelferry_relays", state="serving") == value("pixelferry_relays", state="draining") == 1
    assert value("pixelferry_relay_capacity_sessions") == 10
    assert value("pixelferry_relay_sessions") == 1


def test_writes_count_creates_ends_and_the_time_to_readiness(metrics: Metrics) -> None:
    metrics.session_written(None, make_session())
    metrics.session_written(make_session(), READY)
    metrics.session_written(READY, replace(READY, viewer_present=True))
    over = ended(READY, EndReason.IDLE, "", 1100.0)
    metrics.session_written(READY, over)
    metrics.session_written(over, replace(over, slot=None))
    value = read(metrics)
    assert value("pixelferry_sessions_created_total") == 1
    assert value("pixelferry_sessions_ended_total", reason="idle") == 1
    assert value("pixelferry_sessions_ended_total", reason="node_lost") == 0
    assert value("pixelferry_session_ready_seconds_count") == 1
    assert value("pixelferry_session_ready_seconds_sum") == 3


def test_a_session_started_anew_is_measured_from_its_start(metrics: Metrics) -> None:
    begun = replace(make_session(), run=1, started_at=5000.0)
    metrics.session_written(begun, replace(READY, run=1, started_at=5000.0, ready_at=5002.0))
    assert read(metrics)("pixelferry_session_ready_seconds_sum") == 2


def test_the_wait_in_the_queue_is_measured(metrics: Metrics) -> None:
    queued = replace(make_session(), slot=None, phase=Phase.QUEUED)
    metrics.session_written(queued, replace(make_session(), updated_at=1007.0))
    value = read(metrics)
    assert value("pixelferry_queue_wait_seconds_sum") == 7
    assert value("pixelferry_queue_wait_seconds_bucket", le="10.0") == 1
    assert value("pixelferry_queue_wait_seconds_bucket", le="5.0") == 0


def test_requests_count_by_route_and_unknown_ones_together(metrics: Metrics) -> None:
    metrics.know_routes([("/stream/{id}", "GET")])
    metrics.request_answered("/stream/{id}", "GET", 200, 0.02)
    metrics.request_answered("/stream/{id}", "BREW", 405, 0.02)
    metrics.request_answered("/secret-of-somebody", "GET", 404, 0.02)
    metrics.request_answered("/stream/{id}", "GET", 200, None)
    value = read(metrics)
    assert value("pixelferry_api_requests_total", route="/stream/{id}", method="GET", status="2xx") == 2
    assert value("pixelferry_api_requests_total", route="/stream/{id}", method="GET", status="5xx") == 0
    assert value("pixelferry_api_requests_total", route="(unknown)", method="(other)", status="4xx") == 2
    assert value("pixelferry_api_request_seconds_count", route="/stream/{id}") == 1


def test_troubles_and_streams_are_counted(metrics: Metrics) -> None:
    metrics.did_not_converge(Trouble.STORE)
    value = read(metrics, event_streams=7)
    assert value("pixelferry_reconciler_failures_total", cause="store") == 1
    assert value("pixelferry_reconciler_failures_total", cause="unexpected") == 0
    assert value("pixelferry_event_streams") == 7


def test_the_relays_counters_stand_beside_the_brokers() -> None:
    counters = RelayCounters()
    counters.media_bytes.add(Direction.TO_CLIENT, 1200)
    value = read(Metrics(version="", collectors=(RelayCollector(counters),)))
    assert value("pixelferry_relay_media_bytes_total", direction="to_client") == 1200
    assert value("pixelferry_relay_media_bytes_total", direction="to_backend") == 0


def test_two_brokers_in_one_process_count_apart() -> None:
    one, two = Metrics(version=""), Metrics(version="")
    one.session_written(None, make_session())
    assert read(two)("pixelferry_sessions_created_total") == 0


def test_faults_of_the_store_are_counted_by_kind(metrics: Metrics) -> None:
    metrics.store_is_faulty(Fault.CLAIM_MENDED, 3)
    value = read(metrics)
    assert value("pixelferry_store_faults_total", kind="claim_mended") == 3
    assert value("pixelferry_store_faults_total", kind="lost") == 0


def test_who_converges_says_so() -> None:
    leads = [True]
    metrics = Metrics(version="", leads=lambda: leads[0])
    assert "pixelferry_leader 1.0" in metrics.shown([], Catalog({}, {}), {}, 0).decode()
    leads[0] = False
    assert "pixelferry_leader 0.0" in metrics.shown([], Catalog({}, {}), {}, 0).decode()
