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

test("each m-line keeps one UDP candidate, which is the relay's", () => {
  const pointed = pointToRelay(LINES.join("\r\n"), "192.0.2.1", 31001).split("\r\n");
  assert.deepEqual(
    pointed.filter((line) => line.startsWith("a=candidate")),
    ["a=candidate:1 1 UDP 2130706431 192.0.2.1 31001 typ host", "a=candidate:1 1 udp 2130706431 192.0.2.1 31001 typ host"],
  );
  const rest = (/** @type {string[]} */ lines) => lines.filter((line) => !line.startsWith("a=candidate"));
  assert.deepEqual(rest(pointed), rest(LINES));
});

test("a candidate that the relay wrote stays as it is", () => {
  const own = "a=candidate:1 1 udp 2130706431 192.0.2.1 31001 typ host generation 0";
  assert.equal(pointCandidate(own, "relay.example", 31001), own);
});

test("a trickled candidate has no a=", () => {
  const trickled = pointCandidate("candidate:7 1 udp 5 fe80::1 1 typ host", "2001:db8::1", 31001);
  assert.equal(trickled, "candidate:7 1 udp 5 2001:db8::1 31001 typ host");
});

test("what cannot go through the media port is left out", () => {
  for (const candidate of ["", "nonsense", "candidate:1 1 tcp 5 10.0.0.1 9 typ host", "candidate:1 2 udp 5 10.0.0.1 7 typ host"]) {
    assert.equal(pointCandidate(candidate, "192.0.2.1", 31001), null);
  }
});
