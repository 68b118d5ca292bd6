"""What a relay tells its successor comes through JSON as it was, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.core.address import Sockaddr
from signaling.core.media_path import IceCredentials, TransportAddress
from signaling.core.snapshots import (
    DirectionSnapshot,
    EditorSnapshot,
    FlowSnapshot,
    FlowTableSnapshot,
    TransportsSnapshot,
    ViewerSnapshot,
)
from signaling.handover_state import (
    BridgeSnapshot,
    DeflateSnapshot,
    ForwarderSnapshot,
    HopSnapshot,
    HttpViewerSnapshot,
    MediaSnapshot,
    PathSnapshot,
    ReaderSnapshot,
    RelaySnapshot,
    SignalingSnapshot,
    SpliceSnapshot,
    TrafficSnapshot,
    UpstreamSnapshot,
)
from signaling.routes import Admission, Endpoint, Route, SignalingKind
from signaling.tokens import AdmissionKey, ViewerRole

words = st.text(max_size=8)
numbers = st.integers(0, 2**53)
ports = st.integers(1, 65535)
ages = st.floats(0, 1e9)
hosts = st.ip_addresses().map(str)
sources: st.SearchStrategy[Sockaddr] = st.one_of(
    st.tuples(hosts, ports), st.tuples(hosts, ports, st.just(0), st.integers(0, 9))
)
addresses = st.builds(TransportAddress, hosts, ports)
sockets = st.integers(0, 500)
credentials = st.lists(st.builds(IceCredentials, words, words, st.booleans()), max_size=2).map(tuple)
some_bytes = st.binary(max_size=30)


def several(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


viewers = st.builds(
    ViewerSnapshot, words, hosts, credentials, credentials, st.none() | st.tuples(some_bytes, ages), st.none() | ages
)
flows = st.builds(
    *(FlowSnapshot, numbers, sources, words, ages, st.booleans(), st.booleans(), numbers, numbers),
    several(st.tuples(some_bytes, words)),
)
tables = st.builds(
    FlowTableSnapshot, several(viewers), several(flows), numbers, several(st.tuples(sources, some_bytes))
)
upstreams = st.builds(
    *(UpstreamSnapshot, sockets, words, st.none() | addresses, st.booleans(), st.none() | numbers),
    *(st.none() | sources, st.booleans(), numbers, st.none() | words),
)
paths = st.builds(PathSnapshot, words, sockets, several(st.tuples(addresses, st.none() | words)))
times = st.none() | ages
traffic = st.builds(TrafficSnapshot, st.tuples(numbers, numbers), st.tuples(numbers, numbers), times, times, times)
media = st.builds(MediaSnapshot, sockets, hosts, several(upstreams), several(paths), tables, traffic)
transports = st.builds(
    TransportsSnapshot,
    several(st.tuples(words, words)),
    several(st.tuples(numbers, words)),
    st.none() | words,
    several(st.tuples(st.none() | words, st.none() | words | numbers)),
)
directions = st.builds(DirectionSnapshot, transports, several(hosts))
editors = st.builds(EditorSnapshot, directions, directions)
roles = st.sampled_from(ViewerRole)
deflates = st.none() | st.builds(DeflateSnapshot, st.integers(8, 15), st.integers(9, 15))
hops = st.builds(HopSnapshot, sockets, deflates, some_bytes)
signaling = st.builds(
    SignalingSnapshot,
    sockets,
    several(st.builds(BridgeSnapshot, words, roles, hops, hops, editors)),
    several(st.builds(SpliceSnapshot, words, roles, sockets, sockets)),
    several(st.builds(ReaderSnapshot, sockets, some_bytes)),
    several(st.builds(HttpViewerSnapshot, words, words, hosts, ages, st.none() | words, editors)),
)
routes = st.builds(
    Route,
    *(words, words, ports, ports, st.builds(Endpoint, hosts, ports, ports), words),
    signaling=st.sampled_from(SignalingKind),
    admission=st.sampled_from(Admission),
    allowed_origins=several(words),
)
keys = st.builds(AdmissionKey, st.text("abc", min_size=1, max_size=5), st.text("xyz", min_size=43, max_size=43))
relays = st.builds(
    RelaySnapshot,
    relay=words,
    wanted=several(routes),
    keys=several(keys),
    served=several(st.builds(ForwarderSnapshot, routes, media, signaling)),
    counters=st.dictionaries(words, st.dictionaries(words, numbers, max_size=2), max_size=2),
    listeners=st.dictionaries(words, sockets, max_size=2),
)


@settings(max_examples=20)  # each holds everything
@given(relays)
def test_a_successor_reads_what_was_told(told: RelaySnapshot) -> None:
    assert RelaySnapshot.from_json(told.to_json()) == told


SECRET = "not to be quoted"
EMPTY: dict[str, object] = {"relay": "r1", "wanted": [], "keys": [], "served": [], "counters": {}, "listeners": {}}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"relay": 5}, "relay"),
        ({"relay": None}, "relay"),
        ({"wanted": [{"session_id": SECRET}]}, r"wanted\.0\.relay_id"),
        ({"keys": [{"kid": "a", "x": SECRET}]}, r"keys\.0"),
        ({"served": [{}]}, r"served\.0\.route"),
        ({"counters": {"a": {"b": SECRET}}}, r"counters\.a\.b"),
        ({"listeners": {"a": 1.5}}, r"listeners\.a"),
        ({"of a later version": SECRET}, "of a later version"),
    ],
)
def test_what_does_not_fit_is_named_and_not_quoted(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field) as wrong:
        RelaySnapshot.from_json(json.dumps({**EMPTY, **changes}).encode())
    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize("document", [b"", b"\xff", b"[]", b"null", b'{"relay": '])
def test_what_is_no_document_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):
        RelaySnapshot.from_json(document)
