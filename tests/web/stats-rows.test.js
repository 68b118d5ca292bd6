import assert from "node:assert/strict";
import test from "node:test";

import { deliveredOf, rowsOf } from "../../web/stats-rows.js";

const STATS = {
  framesPerSecond: 29.7, framesDecoded: 90, framesDropped: 1, bitsPerSecond: 3_210_000, width: 960, height: 540,
  roundTripMs: 11.6, packetsLost: 2, jitterMs: 4.2, codec: "H264", remoteAddress: null,
};
const PAYLOAD = {
  wished: { width: 1280, height: 720, fps: 60 },
  delivered: { width: 960, height: 540, fps: 30 },
  limited_by: "network",
  bitrate: 4_000_000,
  codec: "H264",
  encoder: "libx264",
};

/** @param {Record<string, unknown>} payload */
const read = (payload) => deliveredOf({ eventType: "videoDelivered", payload });

test("what is wished for stands above what is delivered, with what limits it", () => {
  const rows = rowsOf(STATS, read(PAYLOAD));
  assert.deepEqual(rows.slice(0, 6), [
    ["Wished", "1280 × 720, 60 /s"],
    ["Delivered", "960 × 540, 30 /s"],
    ["Limited by", "the network"],
    ["Encoder", "H264, libx264"],
    ["Frames", "30 /s"],
    ["Bitrate", "3.21 of 4.0 Mbit/s"],
  ]);
});

test("a backend that tells nothing leaves what arrives", () => {
  const rows = rowsOf({ ...STATS, roundTripMs: null }, null);
  assert.deepEqual(rows, [
    ["Frames", "30 /s"],
    ["Bitrate", "3.21 Mbit/s"],
    ["Picture", "960 × 540 H264"],
    ["Round trip", "–"],
    ["Jitter", "4 ms"],
    ["Lost", "2 packets"],
    ["Dropped", "1 frames"],
  ]);
});

test("limits read as sentences end", () => {
  for (const [limit, text] of [["none", "nothing"], ["encoder", "the encoder"], ["constructor", "nothing"]]) {
    assert.deepEqual(rowsOf(STATS, read({ ...PAYLOAD, limited_by: limit }))[2], ["Limited by", text]);
  }
});

test("other messages and senseless ones are not taken", () => {
  assert.equal(deliveredOf({ eventType: "notice", payload: PAYLOAD }), null);
  for (const wrong of [null, "1280", { width: 0, height: 720, fps: 30 }, { width: Infinity, height: 1, fps: 1 }]) {
    assert.equal(read({ ...PAYLOAD, wished: wrong }), null);
    assert.equal(read({ ...PAYLOAD, delivered: wrong }), null);
  }
});

test("names of others are kept short, and what is missing is left out", () => {
  const told = read({ wished: PAYLOAD.wished, delivered: PAYLOAD.delivered, codec: 7, encoder: "x".repeat(1000) });
  assert.deepEqual([told?.codec, told?.encoder.length, told?.bitrate, told?.limitedBy], ["", 40, 0, "none"]);
  assert.deepEqual(rowsOf(STATS, told)[5], ["Bitrate", "3.21 Mbit/s"]);
});
