"""Candidate attributes as stacks write them."""

from __future__ import annotations

import pytest

from signaling.core.candidates import find_candidates, ip_address
from signaling.core.media_path import TransportAddress
from signaling.core.spans import View, apply

OWN = TransportAddress("2001:db8::1", 31001)


def put(text: str) -> str:
    return apply(text, [edit for line in find_candidates(View(text), 0, len(text)) for edit in line.put(OWN)])


def disguised(text: str) -> str:
    return apply(text, [edit for line in find_candidates(View(text), 0, len(text)) for edit in line.disguise(OWN)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("candidate:1 1 udp 9 10.0.0.1 5 typ host", "candidate:1 1 udp 9 2001:db8::1 31001 typ host"),
        ("candidate:1 1 udp 9 2001:db8::1 31001 typ host", "candidate:1 1 udp 9 2001:db8::1 31001 typ host"),
        ("a=candidate:a/+ 1  UDP 9 x.local  5 typ  host", "a=candidate:a/+ 1  UDP 9 2001:db8::1 31001 typ  host"),
        (
            "candidate:1 1 udp 9 1.1.1.1 5 typ srflx raddr 10.0.0.1 rport 7 generation 0 ufrag abcd",
            "candidate:1 1 udp 9 2001:db8::1 31001 typ srflx generation 0 ufrag abcd",
        ),
        ("CANDIDATE:1 1 UDP 9 1.1.1.1 5 TYP host", "CANDIDATE:1 1 UDP 9 2001:db8::1 31001 TYP host"),
        ("candidate:1 1 udp 9 10.0.0.1 typ host", "candidate:1 1 udp 9 10.0.0.1 typ host"),
        ("candidate:1 1 udp 9 10.0.0.1 5 typ", "candidate:1 1 udp 9 10.0.0.1 5 typ"),
    ],
)
def test_the_address_is_exchanged_and_the_related_one_goes(text: str, told: str) -> None:
    assert put(text) == told


def test_any_candidate_can_pass_for_a_udp_one() -> None:
    text = "candidate:1 2 tcp 9 10.0.0.1 9 typ relay raddr 1.1.1.1 rport 1 tcptype active generation 0"
    assert disguised(text) == "candidate:1 1 udp 9 2001:db8::1 31001 typ relay generation 0".replace("relay", "host")
    text = "candidate:1 1 UDP 9 10.0.0.1 9 typ host"
    assert disguised(text) == "candidate:1 1 UDP 9 2001:db8::1 31001 typ host"


def test_fields_are_read_whatever_their_case() -> None:
    [line] = find_candidates(View("x candidate:1 1 Udp 9 fe80::1 5 typ SRFLX generation 0 ufrag aB+/"), 0, 200)
    assert (line.is_udp, line.component, line.kind, line.ufrag) == (True, 1, "srflx", "aB+/")
    assert line.address == TransportAddress("fe80::1", 5)
    [line] = find_candidates(View("candidate:1 2 tcp 9 a 5 typ host"), 0, 200)
    assert (line.is_udp, line.component, line.ufrag) == (False, 2, None)


def test_ipv4_inside_ipv6_is_ipv4() -> None:
    assert ip_address("::ffff:10.0.0.1") == ip_address("10.0.0.1")
    assert ip_address("fd00::1") is not None
    assert ip_address("x.local") is None
