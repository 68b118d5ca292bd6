from __future__ import annotations

import pytest
from aioice import stun
from hypothesis import example, given
from hypothesis import strategies as st

from signaling.core.stun import PacketKind, StunKind, packet_kind, parse_binding
from tests.signaling.stun_messages import BACKEND, indication, request, response

# RFC 5769 §2.1: a request of user evtj:h6vY with the password VOkJxbRl1RmTxUk/WvJxBt, its integrity and fingerprint.
RFC_5769 = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b15126"
    "3b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)


def test_recorded_request_of_the_standard_is_read_and_authentic() -> None:
    message = parse_binding(RFC_5769)
    assert message is not None
    assert (message.kind, message.username) == (StunKind.REQUEST, "evtj:h6vY")
    assert message.transaction_id.hex() == "b7e7a701bc34d686fa87dfae"
    assert message.authentic("VOkJxbRl1RmTxUk/WvJxBt")
    assert not message.authentic("VOkJxbRl1RmTxUk/WvJxBT")


def test_message_without_integrity_is_never_authentic() -> None:
    message = parse_binding(bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)))
    assert message is not None
    assert message.username is None
    assert not message.authentic("")


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (RFC_5769, PacketKind.STUN),
        (b"", PacketKind.OTHER),
        (b"\x00\x01\x00\x00not the cookie......", PacketKind.OTHER),
        (b"\x14", PacketKind.DTLS),
        (b"\x3f", PacketKind.DTLS),
        (b"\x13", PacketKind.OTHER),
        (b"\x40", PacketKind.OTHER),
        (b"\x80", PacketKind.OTHER),
    ],
)
def test_kind_is_told_by_the_first_byte_and_the_cookie(datagram: bytes, kind: PacketKind) -> None:
    assert packet_kind(datagram) is kind


def test_each_class_of_message_is_told() -> None:
    asked = request()
    error = response(asked, BACKEND.pwd, kind=stun.Class.ERROR)
    kinds = [parse_binding(data) for data in (asked, response(asked, BACKEND.pwd), error, indication())]
    assert [message and message.kind for message in kinds] == [
        StunKind.REQUEST,
        StunKind.RESPONSE,
        StunKind.ERROR,
        StunKind.INDICATION,
    ]


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: RFC_5769[:20] + tail))
@example(bytes(stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)))
@example(bytes.fromhex("000100062112a442b7e7a701bc34d686fa87dfae002400020001"))  # PRIORITY of two bytes
def test_what_is_no_binding_message_is_none_and_never_an_error(datagram: bytes) -> None:
    message = parse_binding(datagram)
    assert message is None or not message.authentic("password")


@given(st.integers(0, len(RFC_5769) - 9), st.integers(1, 255))
def test_changed_byte_is_never_authentic(index: int, difference: int) -> None:
    changed = bytearray(RFC_5769)
    changed[index] ^= difference
    message = parse_binding(bytes(changed))
    assert message is None or not message.authentic("VOkJxbRl1RmTxUk/WvJxBt")


def test_a_password_that_is_no_text_authenticates_nothing() -> None:
    message = parse_binding(request())
    assert message is not None
    assert not message.authentic("half\ud800")
