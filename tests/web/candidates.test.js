import assert from "node:assert/strict";
import test from "node:test";

import { pointCandidate, pointToRelay } from "../../web/candidates.js";

const LINES = [
  "v=0",
  "m=video 47998 UDP/TLS/RTP/SAVPF 96",
  "c=IN IP4 10.1.2.3",
  "a=candidate:1 1 UDP 2130706431 10.1.2.3 47998 typ host generation 0",
  "a=candidate:2 1 tcp 1518280447 10.1.2.3 9 typ host tcptype active",
  "a=candidate:3 1 udp 1694498815 198.51.100.7 47998 typ srflx raddr 10.1.2.3 rport 47998",
  "a=candidate:1 2 udp 2130706430 10.1.2.3 47999 typ host",
  "a=end-of-candidates",
  "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
  "a=candidate:1 1 udp 2130706431 10.1.2.3 47998 typ host",
  "",
];
const RELAYED = "a=candidate:1 1 udp 2130706431 192.0.2.1 31001 typ host generation 0";

const candidatesOf = (/** @type {string} */ sdp) => sdp.split("\r\n").filter((line) => line.startsWith("a=candidate"));

test("each m-line keeps one UDP candidate, which is the relay's", () => {
  const pointed = pointToRelay(LINES.join("\r\n"), "192.0.2.1", 31001);
  assert.deepEqual(candidatesOf(pointed), [
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 31001 typ host",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 31001 typ host",
  ]);
  const rest = (/** @type {string[]} */ lines) => lines.filter((line) => !line.startsWith("a=candidate"));
  assert.deepEqual(rest(pointed.split("\r\n")), rest(LINES));
});

test("a relay by name stands in the candidate by name", () => {
  assert.deepEqual(candidatesOf(pointToRelay(LINES.slice(0, 8).join("\r\n"), "relay.example", 31001)), [
    "a=candidate:1 1 UDP 2130706431 relay.example 31001 typ host",
  ]);
});

test("a candidate that the relay wrote stays as it is", () => {
  assert.deepEqual(pointCandidate(RELAYED, "192.0.2.1", 31001), [RELAYED]);
  const six = "candidate:1 1 udp 2130706431 2001:db8::A 31001 typ host";
  assert.deepEqual(pointCandidate(six, "2001:db8::a", 31001), [six]);
});

test("a candidate that may be the relay's, by its port, stays beside the one that surely is", () => {
  const named = "a=candidate:1 1 udp 2130706431 relay.example 31001 typ host";
  assert.deepEqual(pointCandidate(RELAYED, "relay.example", 31001), [RELAYED, named]);
  const sdp = ["m=video 9 X 96", RELAYED, RELAYED, "m=application 9 X x", RELAYED].join("\r\n");
  assert.deepEqual(candidatesOf(pointToRelay(sdp, "relay.example", 31001)), [RELAYED, named, RELAYED, named]);
});

test("a trickled candidate has no a=", () => {
  const trickled = pointCandidate("candidate:7 1 udp 5 fe80::1 1 typ host", "2001:db8::1", 31001);
  assert.deepEqual(trickled, ["candidate:7 1 udp 5 2001:db8::1 31001 typ host"]);
});

test("what cannot go through the media port is left out", () => {
  for (const candidate of ["", "nonsense", "candidate:1 1 tcp 5 10.0.0.1 9 typ host", "candidate:1 2 udp 5 10.0.0.1 7 typ host"]) {
    assert.deepEqual(pointCandidate(candidate, "192.0.2.1", 31001), []);
  }
});
