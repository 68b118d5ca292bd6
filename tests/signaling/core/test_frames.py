"""What becomes of signaling messages: recorded ones, forged ones, any."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.core.frames import Fate, SignalingEditor
from signaling.core.media_path import IceCredentials, Side, TransportAddress
from signaling.core.spans import unescaped
from tests.signaling.paths import NotedPath

DATA = Path(__file__).parents[2] / "data" / "signaling"
BACKEND = "192.0.2.2"


class Recorded(TypedDict):
    name: str
    frame: str


def recorded(name: str) -> list[Recorded]:
    frames: list[Recorded] = json.loads((DATA / name).read_text())
    return frames


def editor(path: NotedPath | None = None) -> SignalingEditor:
    return SignalingEditor(path or NotedPath(), BACKEND)


def flat(text: str) -> str:
    """Without any escape."""
    while (resolved := unescaped(text)) != text:
        text = resolved
    return text


def shape(text: str) -> str:
    """What an edit must leave: all but the lines that hold addresses, and candidates."""
    kept = [line for line in re.split(r"[\r\n]+", flat(text)) if not re.match(r"a=candidate|[mco]=|a=rtcp:", line)]
    return re.sub(r"candidate:[^\"]*|iceServers.*", "", "\n".join(kept))


@pytest.mark.parametrize("message", recorded("from-backends.json"), ids=lambda message: message["name"])
def test_a_client_is_told_the_relay_alone(message: Recorded) -> None:
    path = NotedPath()
    verdict = editor(path).to_client(message["frame"])
    assert verdict.fate is Fate.PASSED
    text = flat(verdict.text)
    for foreign in (BACKEND, "198.51.100.7", "fd00::2", "raddr", " tcp ", "turn:", "stun:", '"relay"'):
        assert foreign not in text
    assert all(found == "127.0.0.1 31001" for found in re.findall(r"candidate:(?:\S+ ){4}(\S+ \d+)", text))
    assert {address.host for address, _ in path.candidates} <= {BACKEND}
    if "iceCandidates" not in text:
        assert shape(message["frame"]) == shape(verdict.text)


@pytest.mark.parametrize("message", recorded("from-clients.json"), ids=lambda message: message["name"])
def test_a_backend_is_told_the_viewer_s_upstream_alone(message: Recorded) -> None:
    verdict = editor().to_backend(message["frame"])
    assert verdict.fate is Fate.PASSED
    text = flat(verdict.text)
    for foreign in (".local", "203.0.113.9", " tcp ", " TCP "):
        assert foreign not in text
    assert all(found == "127.0.0.1 40001" for found in re.findall(r"candidate:(?:\S+ ){4}(\S+ \d+)", text))
    assert shape(message["frame"]) == shape(verdict.text)


def test_an_answer_keeps_one_candidate_for_each_m_line() -> None:
    text = (DATA / "aiortc-answer.sdp").read_bytes().decode()
    path = NotedPath()
    told = editor(path).to_client(text).text
    assert told.count("a=candidate:") == told.count("m=") == 2
    assert path.candidates == [(TransportAddress(BACKEND, 38143), "7H4k")] * 2
    assert path.credentials == [(Side.BACKEND, IceCredentials("7H4k", "SXqma0uTN3AME6klqchrhN"))]


def test_a_message_without_addresses_is_the_very_same_string() -> None:
    for text in ("", "words", '{"type": "bye"}', '{ "a" : [ 1.50, "\\u00e4" ] }', "HELLO 1", "m=5 apples", "[1,"):
        assert editor().to_client(text).text is text
        assert editor().to_backend(text).text is text


@given(st.text(max_size=200) | st.recursive(st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_any_text_gets_a_verdict(text: str) -> None:
    for verdict in (editor().to_client(text), editor().to_backend(text)):
        assert verdict.fate is Fate.PASSED or not verdict.text


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
HOSTS = st.ip_addresses().map(str)


@st.composite
def candidates(draw: st.DrawFn) -> str:
    transport = draw(st.sampled_from(["udp", "UDP", "tcp", "TCP", "Udp", "ssltcp"]))
    line = f"candidate:{draw(st.integers(0, 99))} {draw(st.sampled_from([1, 1, 2]))} {transport} "
    line += f"{draw(st.integers(0, 2**31))} {draw(HOSTS | st.just('a-b.local'))} {draw(st.integers(0, 65535))} "
    line += f"typ {draw(st.sampled_from(['host', 'srflx', 'relay', 'prflx']))}"
    if draw(st.booleans()):
        line += f" raddr {draw(HOSTS)} rport {draw(st.integers(0, 65535))}"
    return line + draw(st.sampled_from(["", " generation 0", " ufrag abcd", " tcptype active"]))


@st.composite
def descriptions(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Lines of a description, and those of them that no edit may touch."""
    lines, untouched = ["v=0"], ["v=0"]
    for number in range(draw(st.integers(1, 3))):
        for line in (
            f"m=video 9 UDP/TLS/RTP/SAVPF 9{number}",
            f"a=mid:{number}",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:" + "p" * 22,
        ):
            lines.append(line)
            untouched.append(line)
        for _ in range(draw(st.integers(0, 3))):
            other = "a=x:" + draw(WORDS).replace("candidate", "")
            lines += ["a=" + draw(candidates()), other]
            untouched.append(other)
    return lines, untouched


@given(descriptions(), st.integers(0, 4), st.booleans(), st.sampled_from(["\r\n", "\n"]))
def test_no_address_but_the_relay_s_survives_and_no_other_line_changes(
    description: tuple[list[str], list[str]], depth: int, to_client: bool, end: str
) -> None:
    lines, untouched = description
    message: str = end.join(lines) + end
    for _ in range(depth):
        message = json.dumps({"data": message})
    path = NotedPath()
    verdict = editor(path).to_client(message) if to_client else editor(path).to_backend(message)
    if verdict.fate is not Fate.PASSED:
        assert verdict.fate is Fate.FOREIGN  # an address outside candidates, by chance
        return
    text = verdict.text
    for _ in range(depth):
        text = json.loads(text)["data"]
    own = path.client_facing if to_client else path.backend_facing
    kept = [line for line in text.split(end) if line.startswith("a=candidate:")]
    assert all(line.split()[2].lower() == "udp" for line in kept)
    assert all(line.split()[4:6] == [own.host, str(own.port)] and "raddr" not in line for line in kept)
    assert [line for line in text.split(end) if not line.startswith("a=candidate:")] == [*untouched, ""]


@given(candidates(), st.booleans())
def test_a_trickled_candidate_becomes_the_relay_s_or_goes_with_its_message(line: str, to_client: bool) -> None:
    path = NotedPath(own_hosts=frozenset({BACKEND}))
    message = json.dumps({"candidate": {"candidate": line, "sdpMid": "0"}, "id": 7})
    verdict = editor(path).to_client(message) if to_client else editor(path).to_backend(message)
    fields = line.lower().split()
    usable = fields[1:3] == ["1", "udp"] and (not to_client or bool(path.candidates))
    assert verdict.fate is (Fate.PASSED if usable else Fate.WITHHELD)
    if usable:
        own = path.client_facing if to_client else path.backend_facing
        told = json.loads(verdict.text)["candidate"]["candidate"]
        assert told.split()[:4] == line.split()[:4]
        assert told.split()[4:6] == [own.host, str(own.port)]


@given(candidates())
def test_what_may_not_be_withheld_is_overwritten(line: str) -> None:
    verdict = editor().to_backend(json.dumps([{"candidate": line}]), may_withhold=False)
    [told] = json.loads(verdict.text)
    assert told["candidate"].lower().split()[1:3] == ["1", "udp"]
    assert "127.0.0.1 40001 typ" in told["candidate"]
    assert "raddr" not in told["candidate"]
    if line.lower().split()[1:3] != ["1", "udp"]:
        assert not re.search("typ relay|tcptype", told["candidate"])


CANDIDATE = f"candidate:1 1 udp 99 {BACKEND} 5 typ host"


def test_a_second_candidate_of_an_m_line_adds_nothing_for_the_client() -> None:
    either = editor()
    for number, (mid, fate) in enumerate([("0", Fate.PASSED), ("0", Fate.WITHHELD), ("1", Fate.PASSED)]):
        message = json.dumps({"candidate": CANDIDATE.replace(" 5 ", f" {number} ", 1), "sdpMid": mid}).replace(
            " 0 ", " 9 "
        )
        assert either.to_client(message).fate is fate
    other = json.dumps({"candidate": CANDIDATE, "sdpMid": "0", "usernameFragment": "new"})
    assert either.to_client(other).fate is Fate.PASSED


def test_new_credentials_begin_anew() -> None:
    either = editor()
    described = "m=video 9 X Y\r\na=mid:0\r\na=ice-ufrag:{}\r\na=ice-pwd:" + "p" * 22 + "\r\n"
    message = json.dumps({"candidate": CANDIDATE, "sdpMid": "0"})
    for ufrag in ("one", "two"):
        assert either.to_client(described.format(ufrag)).fate is Fate.PASSED
        assert either.to_client(message).fate is Fate.PASSED
        assert either.to_client(message).fate is Fate.WITHHELD


@pytest.mark.parametrize(
    ("around", "ufrag"),
    [
        ({"usernameFragment": "own"}, "own"),
        ({"sdpMid": "a"}, "first"),
        ({"sdpMid": "b"}, "second"),
        ({"sdpMLineIndex": 1}, "second"),
        ({"sdpMLineIndex": "1"}, "second"),
        ({"sdpMLineIndex": 7}, None),
        ({}, None),
    ],
)
def test_a_trickled_candidate_is_ascribed_to_its_transport(around: dict[str, str], ufrag: str | None) -> None:
    path = NotedPath()
    either = editor(path)
    lines = "".join(
        f"m=video 9 X Y\r\na=mid:{mid}\r\na=ice-ufrag:{of}\r\na=ice-pwd:{'p' * 22}\r\n"
        for mid, of in (("a", "first"), ("b", "second"))
    )
    either.to_client(lines)
    either.to_client(json.dumps({"candidate": {"candidate": CANDIDATE} | around}))
    assert path.candidates == [(TransportAddress(BACKEND, 5), ufrag)]


def test_the_only_transport_needs_no_name() -> None:
    path = NotedPath()
    either = editor(path)
    either.to_client("a=ice-ufrag:only\r\na=ice-pwd:" + "p" * 22 + "\r\na=ice-lite\r\nm=video 9 X Y\r\n")
    either.to_client(CANDIDATE)
    assert path.candidates == [(TransportAddress(BACKEND, 5), "only")]
    assert path.credentials[0][1].lite


def test_a_backend_that_hides_behind_mdns_stands_where_its_route_says() -> None:
    path = NotedPath()
    assert editor(path).to_client(CANDIDATE.replace(BACKEND, "x-y.local")).fate is Fate.PASSED
    assert path.candidates == [(TransportAddress(BACKEND, 5), None)]


@pytest.mark.parametrize(
    "host", ["fe80::1", "169.254.0.1", "0.0.0.0", "224.0.0.1", "fd00::2", "name.example", "10.9.9.9"]
)
def test_a_client_never_hears_of_addresses_that_cannot_be_the_backend_s(host: str) -> None:
    path = NotedPath()
    assert editor(path).to_client(CANDIDATE.replace(BACKEND, host)).fate is Fate.WITHHELD
    assert not path.candidates


def test_ipv6_takes_the_place_of_ipv4() -> None:
    six = TransportAddress("2001:db8::1", 31001)
    path = NotedPath(
        client_facing=six, backend_facing=TransportAddress("fd00::1", 40001), own_hosts=frozenset({"fd00::2"})
    )
    either = SignalingEditor(path, "fd00::2")
    text = "m=video 5 X Y\r\nc=IN IP6 fd00::2\r\na=rtcp:5 IN IP6 fd00::2\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\n"
    told = either.to_client(text + "a=candidate:1 1 UDP 9 fd00::2 5 typ host\r\n").text
    assert "m=video 31001 X" in told
    assert "c=IN IP6 2001:db8::1\r\na=rtcp:31001 IN IP6 2001:db8::1\r\n" in told
    assert "a=candidate:1 1 UDP 9 2001:db8::1 31001 typ host\r\n" in told
    mapped = either.to_client("m=video 5 X Y\r\nc=IN IP4 10.0.0.1\r\n").text
    assert mapped == "m=video 31001 X Y\r\nc=IN IP6 2001:db8::1\r\n"


# The end of candidates.


@pytest.mark.parametrize(
    "message", ['{"candidate": null}', '{"candidate": {"candidate": ""}}', '{"ice": null}', "a=end-of-candidates\r\n"]
)
def test_the_end_goes_to_the_backend_only_after_a_candidate(message: str) -> None:
    either = editor()
    assert either.to_backend(message).fate is Fate.WITHHELD
    assert either.to_backend(message, may_withhold=False).fate is Fate.WITHHELD
    assert either.to_backend(json.dumps({"candidate": CANDIDATE})).fate is Fate.PASSED
    assert either.to_backend(message).text == message
    assert editor().to_client(message).text == message


def test_an_offer_without_usable_candidates_does_not_say_that_it_ends() -> None:
    offer = "m=video 9 X Y\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\n{}a=end-of-candidates\r\na=x\r\n"
    assert "end-of" not in editor().to_backend(offer.format("")).text
    assert "end-of" not in editor().to_backend(offer.format("a=candidate:1 1 tcp 9 1.2.3.4 9 typ host\r\n")).text
    assert "end-of" in editor().to_backend(offer.format("a=candidate:1 1 udp 9 1.2.3.4 9 typ host\r\n")).text
    assert "end-of" in editor().to_client(offer.format("")).text


# Candidates in fields.


def split(**fields: object) -> str:
    return json.dumps({"foundation": "1", "priority": 9, "ip": BACKEND, "port": 5, "protocol": "udp"} | fields)


def test_a_candidate_in_fields_becomes_the_relay_s() -> None:
    told = json.loads(editor().to_client(split(relatedAddress="10.0.0.1", relatedPort=7, type="host")).text)
    assert (told["ip"], told["port"], told["protocol"]) == ("127.0.0.1", 31001, "udp")
    assert (told["relatedAddress"], told["relatedPort"]) == (None, None)
    told = json.loads(editor().to_client(split(port="5", component="rtp")).text)
    assert told["port"] == "31001"


@pytest.mark.parametrize(
    "fields", [{"protocol": "TCP"}, {"type": "relay"}, {"component": 2}, {"port": None}, {"ip": 5}, {"component": "x"}]
)
def test_an_unusable_candidate_in_fields_goes_with_its_message(fields: dict[str, object]) -> None:
    assert editor().to_client(split(**fields)).fate is Fate.WITHHELD
    kept = editor().to_client(split(**fields), may_withhold=False)
    assert BACKEND not in kept.text


def test_an_unusable_candidate_among_usable_ones_is_overwritten() -> None:
    candidates = [json.loads(split()), json.loads(split(protocol="tcp", component=2, type="relay", tcpType="passive"))]
    told = json.loads(editor().to_client(json.dumps(candidates)).text)
    assert told[1] == told[0] | {"component": 1, "type": "host", "tcpType": None}


def test_fields_beside_a_candidate_line_follow_it() -> None:
    message = json.dumps({"candidate": CANDIDATE, "address": BACKEND, "port": 5, "foundation": "1"})
    told = json.loads(editor().to_client(message).text)
    assert (told["address"], told["port"]) == ("127.0.0.1", 31001)
    assert "127.0.0.1 31001" in told["candidate"]
    message = message.replace(" udp ", " tcp ").replace('"port"', '"protocol": "tcp", "port"')
    assert editor().to_client(message).fate is Fate.WITHHELD


# TURN.


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"iceServers": [{"urls": "turn:a", "username": "u"}]}, {"iceServers": []}),
        ({"ice_servers": {"urls": "turn:a"}}, {"ice_servers": {}}),
        ({"iceServers": json.dumps([{"urls": "stun:a"}])}, {"iceServers": "[]"}),
        ({"iceServers": []}, {"iceServers": []}),
        ({"iceServers": ""}, {"iceServers": ""}),
        ({"iceServers": None}, {"iceServers": None}),
        ([{"urls": ["stun:a", "turns:b"]}], []),
        ({"uris": ["turn:a"], "password": "p"}, {"uris": [], "password": "p"}),
        ({"iceTransportPolicy": "relay"}, {"iceTransportPolicy": "all"}),
        ({"urls": ["http://a"]}, {"urls": ["http://a"]}),
        ({"data": json.dumps({"iceServers": [{"urls": "turn:a"}]})}, {"data": '{"iceServers": []}'}),
    ],
)
def test_ice_servers_are_blanked_for_the_client(message: object, told: object) -> None:
    assert json.loads(editor().to_client(json.dumps(message)).text) == told
    assert json.loads(editor().to_backend(json.dumps(message)).text) == message


# Fail closed.


@pytest.mark.parametrize(
    "text",
    [
        f"see {BACKEND}:8080",
        json.dumps({"url": f"http://{BACKEND}/"}),
        f"::ffff:{BACKEND}",
        json.dumps(json.dumps(BACKEND)).replace(".", "\\\\u002e"),
        "candidate :1 1 udp 99 10.1.1.1 5 typ host",
        "{'foundation': '1', 'ip': '10.1.1.1', 'port': 5}",
        "\\" * 10_000,
    ],
)
def test_what_still_names_another_address_is_refused(text: str) -> None:
    assert editor().to_client(text).fate is Fate.FOREIGN


def test_a_candidate_with_a_broken_foundation_does_not_pass() -> None:
    for text in ('a=candidate:"1 1 udp 99 10.1.1.1 5 typ host"', 'a=candidate:" 1 udp 99 10.1.1.1 5 typ host"'):
        assert editor().to_client(text).fate is not Fate.PASSED


def test_an_address_that_was_once_named_stays_hidden() -> None:
    either = editor()
    assert either.to_client("10.1.1.1").fate is Fate.PASSED
    assert either.to_client(CANDIDATE.replace(BACKEND, "10.1.1.1")).fate is Fate.WITHHELD
    assert either.to_client("10.1.1.1").fate is Fate.FOREIGN
    assert either.leaks_to_client("10.1.1.1")
    assert not either.leaks_to_backend("10.1.1.1")


def test_a_backend_on_the_relay_s_own_address_hides_nothing() -> None:
    assert SignalingEditor(NotedPath(), "127.0.0.1").to_client("127.0.0.1").fate is Fate.PASSED


@pytest.mark.parametrize("text", ["\\" * 30_000, "a=candidate:1\r\n" * 2000, "x\n" * 30_000, json.dumps([0] * 20_000)])
def test_more_than_signaling_ever_holds_is_refused(text: str) -> None:
    assert editor().to_client(text).fate is Fate.MALFORMED


def test_strings_in_strings_without_end_are_not_followed() -> None:
    text = json.dumps({"candidate": CANDIDATE.replace(BACKEND, "10.1.1.1")})
    for _ in range(9):
        text = json.dumps(text)
    assert editor().to_backend(text).fate is not Fate.PASSED


def test_what_is_remembered_is_bounded() -> None:
    either = editor(NotedPath(own_hosts=frozenset({BACKEND})))
    for number in range(600):
        host = f"10.1.{number // 250}.{number % 250}"
        either.to_client(CANDIDATE.replace(BACKEND, host))
        either.to_client(json.dumps({"candidate": CANDIDATE, "sdpMid": str(number)}))
    assert len(either._to_client._hidden) <= 256
    assert len(either._to_client._transports.told) <= 256
