"""Lines of session descriptions: what is read from them, and which of them are edited."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.media_path import TransportAddress
from signaling.core.sdp import Description, read_description
from signaling.core.spans import Parts, TooManyParts, View, apply

OWN = TransportAddress("127.0.0.1", 31001)


def read(text: str, own: TransportAddress = OWN) -> Description:
    return read_description(View(text), 0, len(text), own, Parts(1000))


def edited(text: str, own: TransportAddress = OWN) -> str:
    return apply(text, read(text, own).edits)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("m=video 9 UDP/TLS/RTP/SAVPF 96", None),
        ("m=video 0 UDP/TLS/RTP/SAVPF 96", None),
        ("m=video 31001 UDP/TLS/RTP/SAVPF 96", None),
        ("m=video 47001 UDP/TLS/RTP/SAVPF 96", "m=video 31001 UDP/TLS/RTP/SAVPF 96"),
        ("m=audio 47001/2 RTP/AVP 0", "m=audio 31001/2 RTP/AVP 0"),
        ("m=", None),
        ("c=IN IP4 0.0.0.0", None),
        ("c=IN IP6 ::", None),
        ("c=IN IP4 127.0.0.1", None),
        ("c=IN IP4 192.0.2.2", "c=IN IP4 127.0.0.1"),
        ("c=IN IP4 192.0.2.2/127", "c=IN IP4 127.0.0.1"),
        ("c=IN IP6 fd00::2", "c=IN IP4 127.0.0.1"),
        ("c=IN IP4 host.example", "c=IN IP4 127.0.0.1"),
        ("c=nonsense", None),
        ("o=- 1 2 IN IP4 127.0.0.1", None),
        ("o=- 1 2 IN IP4 0.0.0.0", None),
        ("o=- 1 2 IN IP4 192.0.2.2", "o=- 1 2 IN IP4 127.0.0.1"),
        ("o=jdoe 1 2 IN IP6 host.example", "o=jdoe 1 2 IN IP4 127.0.0.1"),
        ("a=rtcp:9", None),
        ("a=rtcp:9 IN IP4 0.0.0.0", None),
        ("a=rtcp:47002", "a=rtcp:31001"),
        ("a=rtcp:47002 IN IP4 192.0.2.2", "a=rtcp:31001 IN IP4 127.0.0.1"),
        ("a=rtcp:x", None),
        ("a=rtcp-mux", None),
        ("a=remote-candidates:1 192.0.2.2 5", ""),
        ("s=c=IN IP4 192.0.2.2", None),
    ],
)
def test_lines_that_hold_an_address_get_the_relay_s(line: str, told: str | None) -> None:
    assert edited(line) == (line if told is None else told)


def test_an_address_of_another_family_brings_its_own_name() -> None:
    six = TransportAddress("2001:db8::1", 5)
    assert edited("c=IN IP4 192.0.2.2", six) == "c=IN IP6 2001:db8::1"
    assert edited("o=- 1 2 IN IP4 127.0.0.1", six) == "o=- 1 2 IN IP4 127.0.0.1"
    assert edited("o=- 1 2 IN IP4 192.0.2.2", six) == "o=- 1 2 IN IP6 2001:db8::1"


def test_a_line_goes_with_its_end_however_it_is_written() -> None:
    for end in ("\r\n", "\n", "\r"):
        text = f"v=0{end}a=remote-candidates:1 192.0.2.2 5{end}a=x{end}"
        assert edited(text) == f"v=0{end}a=x{end}"


def test_sections_hold_what_belongs_to_them() -> None:
    text = "\r\n".join(
        [
            *("a=ice-lite", "a=ice-ufrag:u0", "m=video 9 X Y", "a=mid: v ", "a=ice-ufrag:u1", "a=ice-pwd:p1"),
            *("a=candidate:1 1 udp 9 192.0.2.2 5 typ host", "a=end-of-candidates", "m=audio 9 X Y", "a=x"),
            *("candidate:2 1 udp 9 192.0.2.2 6 typ host", "a=candidate:broken", ""),
        ]
    )
    description = read(text)
    assert description.is_sdp
    assert description.lite
    session, video, audio = description.sections
    assert (session.index, session.ufrag, session.pwd) == (None, "u0", None)
    assert (video.index, video.mid, video.ufrag, video.pwd) == (0, "v", "u1", "p1")
    assert (audio.index, audio.mid) == (1, None)
    assert [line.address.port for line, _ in video.candidates] == [5]
    assert [line.address.port for line in description.loose] == [6]
    removals = [edit for _, edit in video.candidates] + video.ends
    assert "candidate" not in apply(text, removals).partition("m=audio")[0]


def test_a_candidate_alone_is_no_description() -> None:
    description = read("a=candidate:1 1 udp 9 192.0.2.2 5 typ host")
    assert not description.is_sdp
    assert len(description.loose) == 1


def test_work_is_bounded_by_what_lines_cost() -> None:
    for line in ("a=x", "c=IN IP4 192.0.2.2", "a=candidate:1"):
        with pytest.raises(TooManyParts):
            read(f"{line}\n" * 1001)


@given(st.text("acmo=:-09 INP4.\r\ncandidate", max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    read(text)
    edited(text)
