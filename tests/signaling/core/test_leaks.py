"""The last look at a message, on its own."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.candidates import IpAddress, ip_address
from signaling.core.leaks import leaks
from signaling.core.media_path import TransportAddress

OWN = TransportAddress("127.0.0.1", 31001)
CANDIDATE = "a=candidate:1 1 udp 2130706431 {} {} typ host"
OTHER = CANDIDATE.format("10.0.0.5", 5)


def hidden(*hosts: str) -> set[IpAddress]:
    return {address for host in hosts if (address := ip_address(host)) is not None}


CODES = [
    lambda text: text,
    json.dumps,
    lambda text: json.dumps({"data": json.dumps(text)}),
    lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    lambda text: json.dumps("".join(f"\\u{ord(char):04x}" for char in text)),
    lambda text: text.replace("/", "\\/").replace(".", "\\u002e"),
    urllib.parse.quote,
    urllib.parse.quote_plus,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    lambda text: json.dumps({"sdp": base64.b64encode(text.encode()).decode()}),
    str.upper,
]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "text",
    [
        OTHER,
        CANDIDATE.format("127.0.0.1", 31002),
        CANDIDATE.format("127.0.0.1", 31001).replace("udp", "tcp"),
        CANDIDATE.format("x-y-z.local", 31001),
        CANDIDATE.format("127.0.0.1", 31001) + " raddr 10.0.0.5 rport 5",
        "v=0 v=0 v=0 v=0 v=0 v=0 v=0\r\nc=IN IP4 10.0.0.5\r\n",
        "v=0 v=0 v=0 v=0 v=0 v=0 v=0\r\na=rtcp:5 IN IP6 fd00::5\r\n",
        '{"foundation": "1", "priority": 1, "ip": "10.0.0.5", "port": 5}',
    ],
)
def test_another_media_address_is_found_in_every_code(code: object, text: str) -> None:
    assert callable(code)
    assert leaks(code(text), OWN, ())


@pytest.mark.parametrize("code", CODES)
def test_a_hidden_address_is_found_in_every_code(code: object) -> None:
    assert callable(code)
    for text in (
        "a sentence that names http://10.0.0.5:8080/ in it",
        "a sentence that names [fd00:0:0::5] in its midst",
    ):
        assert leaks(code(text), OWN, hidden("10.0.0.5", "fd00::5"))
        assert not leaks(code(text), OWN, hidden("10.0.0.6"))


@pytest.mark.parametrize("code", [json.dumps, urllib.parse.quote, *CODES[6:]])
def test_the_relay_s_own_address_may_pass(code: object) -> None:
    assert callable(code)
    text = CANDIDATE.format("127.0.0.1", 31001) + "\r\nc=IN IP4 127.0.0.1\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    assert not leaks(code(text), OWN, hidden("10.0.0.5"))


def test_words_that_only_look_like_addresses_may_pass() -> None:
    text = "version 110.0.0.5 10.0.0.55 1.10.0.0.5 10.0.0 AB:CD:EF:01 12:30:59 candidate: none, priority high, raddr x"
    assert not leaks(text, OWN, hidden("10.0.0.5"))


def test_text_that_cannot_be_resolved_is_taken_for_a_leak() -> None:
    assert leaks("\\" * 100_000, OWN, ())
    assert not leaks("a trailing \\", OWN, ())
    assert not leaks("A" * 41, OWN, ()), "base64 of an impossible length"


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    leaks(text, OWN, hidden("10.0.0.5"))
