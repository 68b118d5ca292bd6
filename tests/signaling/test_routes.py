from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.routes import (
    Admission,
    Endpoint,
    Json,
    PortRange,
    RelayInfo,
    RelayLoad,
    Route,
    RouteError,
    RouteReport,
    RouteState,
    SignalingKind,
)

PORTS = st.integers(1, 65535)
TIMES = st.none() | st.floats(0, 1e10)
ENDPOINTS = st.builds(Endpoint, st.ip_addresses().map(str), PORTS, PORTS)
RANGES = st.tuples(PORTS, PORTS).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: PortRange(*pair))
ROUTES = st.builds(
    Route,
    session_id=st.text(),
    relay_id=st.text(),
    signaling_port=PORTS,
    media_port=PORTS,
    backend=ENDPOINTS,
    backend_secret=st.text(),
    signaling=st.sampled_from(SignalingKind),
    admission=st.sampled_from(Admission),
    allowed_origins=st.lists(st.text()).map(tuple),
    record=st.text(max_size=40),
)
REPORTS = st.builds(
    RouteReport,
    session_id=st.text(),
    relay_id=st.text(),
    signaling_port=PORTS,
    media_port=PORTS,
    backend=ENDPOINTS,
    state=st.sampled_from(RouteState),
    error=st.none() | st.sampled_from(RouteError),
    signaling_open=st.integers(0),
    viewers=st.integers(0),
    first_packet_at=TIMES,
    last_client_packet_at=TIMES,
    last_client_input_at=TIMES,
)
LOADS = st.builds(RelayLoad, st.integers(0), st.floats(0, 1e9))
RELAYS = st.builds(
    RelayInfo,
    id=st.text(),
    host=st.text(),
    ports=RANGES,
    capacity=st.integers(0),
    version=st.text(),
    zone=st.text(),
    draining=st.booleans(),
    addresses=st.lists(st.text()).map(tuple),
    load=LOADS,
)
JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)

Contract = Endpoint | PortRange | Route | RouteReport | RelayInfo | RelayLoad


@given(ENDPOINTS | RANGES | ROUTES | REPORTS | RELAYS | LOADS)
def test_every_value_survives_its_json_form(value: Contract) -> None:
    back = type(value).from_json(json.loads(json.dumps(value.to_json())))
    assert asdict(back) == asdict(value), "also what equality leaves out"


@given(st.sampled_from([Endpoint, PortRange, Route, RouteReport, RelayInfo, RelayLoad]), JSON)
def test_what_is_no_such_object_is_a_value_error(kind: type[Contract], value: Json) -> None:
    with pytest.raises(ValueError, match=r"must be a JSON object|is missing"):
        kind.from_json(value)


ROUTE = Route("s", "r", 31000, 31001, Endpoint("127.0.0.2", 47000, 47001), "secret")
REPORT = RouteReport("s", "r", 31000, 31001, ROUTE.backend, RouteState.ACTIVE)
RELAY = RelayInfo("r", "127.0.0.1", PortRange(31000, 31999), 100, "0.1.0")


@pytest.mark.parametrize(
    ("value", "field", "wrong", "complaint"),
    [
        (ROUTE, "session_id", 7, "route.session_id must be a string"),
        (ROUTE, "media_port", "31001", "route.media_port must be an integer"),
        (ROUTE, "media_port", True, "route.media_port must be an integer"),
        (ROUTE, "media_port", 70000, r"media_port must be a port \(1 to 65535\), not 70000"),
        (ROUTE, "signaling", "morse", "route.signaling must be one of readable, opaque"),
        (ROUTE, "admission", [], "route.admission must be one of"),
        (ROUTE, "allowed_origins", "*", "route.allowed_origins must be a list of strings"),
        (ROUTE, "allowed_origins", ["*", None], "route.allowed_origins must be a list of strings"),
        (ROUTE, "backend", "here", "endpoint must be a JSON object"),
        (ROUTE.backend, "host", "localhost", "host must be an IP address, not 'localhost'"),
        (REPORT, "error", "bored", "report.error must be one of port_taken"),
        (REPORT, "first_packet_at", "noon", "report.first_packet_at must be a time in seconds or null"),
        (REPORT, "last_client_input_at", True, "report.last_client_input_at must be a time in seconds or null"),
        (ROUTE, "record", None, "route.record must be a string"),
        (ROUTE, "record", "é" * 8193, "record must be at most 16384 bytes long"),
        (RELAY, "addresses", "::1", "relay.addresses must be a list of strings"),
        (RELAY, "load", 3, "load must be a JSON object"),
        (RELAY.load, "datagrams_per_s", float("nan"), "load.datagrams_per_s must be a number"),
        (RELAY, "draining", 1, "relay.draining must be true or false"),
        (RELAY.ports, "lo", 32000, "a port range needs lo < hi, not 32000-31999"),
    ],
)
def test_wrong_field_is_named(value: Contract, field: str, wrong: Json, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        type(value).from_json({**value.to_json(), field: wrong})


def test_a_report_of_an_older_relay_tells_nothing_of_input() -> None:
    older = {key: value for key, value in REPORT.to_json().items() if key != "last_client_input_at"}
    assert RouteReport.from_json(older) == REPORT


def test_a_route_without_a_record_is_one() -> None:
    older = {key: value for key, value in ROUTE.to_json().items() if key != "record"}
    assert Route.from_json(older) == ROUTE


def test_what_goes_along_makes_no_other_route_nor_relay() -> None:
    assert replace(ROUTE, record="of brokers") == ROUTE
    assert replace(RELAY, load=RelayLoad(3, 4000.0)) == RELAY
    assert replace(ROUTE, record="é" * 8192).record, "as long as it may be"


def test_route_never_shows_its_secret() -> None:
    assert repr(ROUTE) == str(ROUTE) == "Route(s r:31000/31001)"
