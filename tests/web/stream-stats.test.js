import assert from "node:assert/strict";
import test from "node:test";

import { readStats } from "../../web/stream-stats.js";

/** @type {Map<string, import("../../web/stream-stats.js").Entry>} */
const REPORT = new Map(
  Object.entries({
    V: { type: "inbound-rtp", kind: "video", timestamp: 5000, bytesReceived: 300_000, framesDecoded: 90, frameWidth: 1280, frameHeight: 720, packetsLost: 2, jitter: 0.004, codecId: "C", framesDropped: 1 },
    A: { type: "inbound-rtp", kind: "audio", bytesReceived: 1 },
    C: { type: "codec", mimeType: "video/H264" },
    T: { type: "transport", selectedCandidatePairId: "P2" },
    P1: { type: "candidate-pair", nominated: true, state: "succeeded", remoteCandidateId: "R1" },
    P2: { type: "candidate-pair", nominated: true, state: "succeeded", remoteCandidateId: "R2", currentRoundTripTime: 0.012 },
    R1: { type: "remote-candidate", address: "192.0.2.1", port: 1 },
    R2: { type: "remote-candidate", address: "192.0.2.1", port: 31001 },
  }),
);

test("what arrives is read from the video and the selected pair", () => {
  const { stats, sample } = readStats(REPORT, { at: 3000, bytes: 50_000, frames: 30 });
  assert.deepEqual(stats, {
    framesPerSecond: 30,
    framesDecoded: 90,
    framesDropped: 1,
    bitsPerSecond: 1_000_000,
    width: 1280,
    height: 720,
    roundTripMs: 12,
    packetsLost: 2,
    jitterMs: 4,
    codec: "H264",
    remoteAddress: "192.0.2.1:31001",
  });
  assert.deepEqual(sample, { at: 5000, bytes: 300_000, frames: 90 });
});

test("without a transport entry, the pair in use is the one that says so", () => {
  const report = new Map(REPORT);
  report.delete("T");
  assert.equal(readStats(report, null).stats.remoteAddress, "192.0.2.1:1");
  const firefox = new Map([...report, ["P1", { ...report.get("P1"), selected: false }], ["P2", { ...report.get("P2"), selected: true }]]);
  assert.equal(readStats(firefox, null).stats.remoteAddress, "192.0.2.1:31001");
});

test("an IPv6 address stands in brackets", () => {
  const report = new Map([...REPORT, ["R2", { type: "remote-candidate", address: "2001:db8::1", port: 31001 }]]);
  assert.equal(readStats(report, null).stats.remoteAddress, "[2001:db8::1]:31001");
});

test("before anything arrived, everything is nought", () => {
  const { stats, sample } = readStats(new Map(), null);
  assert.deepEqual([stats.framesPerSecond, stats.bitsPerSecond, stats.width, stats.codec], [0, 0, 0, ""]);
  assert.deepEqual([stats.roundTripMs, stats.remoteAddress], [null, null]);
  assert.equal(readStats(new Map(), sample).stats.framesPerSecond, 0);
});
