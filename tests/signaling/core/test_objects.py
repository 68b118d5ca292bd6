"""Candidates in fields, ICE servers and small values inside JSON objects."""

from __future__ import annotations

import json

import pytest

from signaling.core.media_path import TransportAddress
from signaling.core.objects import is_true, number_of, split_candidate, string_of, without_ice_servers
from signaling.core.spans import Node, Parts, View, apply, parse

OWN = TransportAddress("127.0.0.1", 31001)


def opened(document: object) -> tuple[View, Node]:
    text = json.dumps(document)
    return View(text), parse(View(text), 0, len(text), Parts(1000))


@pytest.mark.parametrize(
    ("value", "string", "number", "true"),
    [
        ("a\u00e4\n", "a\u00e4\n", None, False),
        ("12", "12", 12, False),
        (12, None, 12, False),
        (1.5, None, None, False),
        (10**12, None, None, False),
        (True, None, None, True),
        (None, None, None, False),
        ([], None, None, False),
    ],
)
def test_small_values_are_read_by_their_kind(value: object, string: str | None, number: int | None, true: bool) -> None:
    view, root = opened({"key": value})
    node = root.get("key")
    assert (string_of(view, node), number_of(view, node), is_true(view, node)) == (string, number, true)
    assert (string_of(view, None), number_of(view, None), is_true(view, None)) == (None, None, False)


@pytest.mark.parametrize(
    "document", [{}, {"ip": "a", "port": 1}, {"ip": "a", "priority": 1}, {"port": 1, "foundation": 1}]
)
def test_other_objects_are_no_candidates(document: object) -> None:
    assert split_candidate(*opened(document)) is None


@pytest.mark.parametrize(
    ("fields", "usable"),
    [
        ({}, (True, 1, "")),
        ({"protocol": "UDP", "component": 1, "type": "HOST"}, (True, 1, "host")),
        ({"transport": "tcp", "componentId": "2", "candidateType": "srflx"}, (False, 2, "srflx")),
        ({"protocol": 17, "component": "rtp"}, (False, 1, "")),
        ({"component": "rtcp"}, (True, 0, "")),
    ],
)
def test_fields_are_read_as_their_writers_name_them(fields: dict[str, object], usable: object) -> None:
    candidate = split_candidate(*opened({"address": "10.0.0.1", "port": "5", "priority": 1} | fields))
    assert candidate is not None
    assert candidate.address == TransportAddress("10.0.0.1", 5)
    assert (candidate.is_udp, candidate.component, candidate.kind) == usable


def test_a_candidate_that_cannot_be_read_has_no_address() -> None:
    for fields in ({"ip": 5}, {"port": "x"}, {"port": None}):
        candidate = split_candidate(*opened({"ip": "10.0.0.1", "port": 5, "priority": 1} | fields))
        assert candidate is not None
        assert candidate.address is None


def test_a_disguise_corrects_every_field_and_no_other() -> None:
    document = {"ip": "10.0.0.1", "address": 7, "port": "5", "foundation": "f", "protocol": "tcp", "component": "2"}
    document |= {"type": "relay", "relatedAddress": "1.1.1.1", "raddr": 5, "extra": {"ip": "x"}}
    view, root = opened(document)
    candidate = split_candidate(view, root)
    assert candidate is not None
    told = json.loads(apply(view.text, candidate.disguise(OWN)))
    changed = {"ip": "127.0.0.1", "address": None, "port": "31001", "protocol": "udp", "component": "1"}
    changed |= {"type": "host", "relatedAddress": None, "raddr": None}
    assert told == document | changed
    view, root = opened({"ip": "a", "port": 5, "priority": 1, "protocol": "udp", "component": 1, "type": "host"})
    candidate = split_candidate(view, root)
    assert candidate is not None
    told = json.loads(apply(view.text, candidate.disguise(OWN)))
    assert told == {"ip": "127.0.0.1", "port": 31001, "priority": 1, "protocol": "udp", "component": 1, "type": "host"}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"iceServers": [1]}, {"iceServers": []}),
        ({"ice-servers": {"a": 1}}, {"ice-servers": {}}),
        ({"iceServers": "x"}, {"iceServers": "[]"}),
        ({"iceServers": ""}, {"iceServers": ""}),
        ({"iceServers": [], "iceTransportPolicy": "all"}, {"iceServers": [], "iceTransportPolicy": "all"}),
        ({"iceTransportPolicy": "relay"}, {"iceTransportPolicy": "all"}),
        ({"iceTransportPolicy": 1}, {"iceTransportPolicy": 1}),
        ([{"url": "stun:a"}, {"urls": ["TURNS:b"]}], []),
        ([{"url": "stun:a"}, {"url": "http://b"}], [{"url": "stun:a"}, {"url": "http://b"}]),
        ([{"url": "stun:a"}, 5], [{"url": "stun:a"}, 5]),
        ({"uris": ["turn:a"]}, {"uris": []}),
        ({"urls": "turn:a"}, {"urls": "turn:a"}),
        ({"urls": [5]}, {"urls": [5]}),
        ([], []),
    ],
)
def test_ice_servers_are_found_by_their_name_and_by_what_they_hold(document: object, told: object) -> None:
    view, root = opened(document)
    assert json.loads(apply(view.text, without_ice_servers(view, root))) == told
