import assert from "node:assert/strict";
import test from "node:test";

import { niceTop } from "../../web/operator-charts.js";
import { Rate, duration, endings, hourOf, isMeant, kindOf, secondsBetween, tilesOf, words } from "../../web/operator-data.js";

/** @type {import("../../web/operator-data.js").SessionRow} */
const SESSION = {
  id: "8d5f4c2e-1f0a-4a5b-9c3d-000000000007",
  owner: "Ada",
  application: "usd-viewer",
  version: "1.0.0",
  profile: "default",
  state: "ready",
  phase: null,
  message: "Session is active",
  viewer_present: true,
  created_at: "2026-01-01T00:00:00Z",
  alarm: null,
  queue: null,
};
/** @type {import("../../web/operator-data.js").Data} */
const DATA = {
  now: "2026-01-01T00:01:00Z",
  version: "1",
  count: 3,
  sessions: [SESSION, { ...SESSION, viewer_present: false }],
  slots: [
    { profile: "a", name: "A", used: 2, total: 2, queued: 1 },
    { profile: "b", name: "B", used: 0, total: 0, queued: 0 },
  ],
  relays: [
    { id: "r", host: "192.0.2.1", capacity: 10, sessions: 1, draining: false },
    { id: "s", host: "192.0.2.2", capacity: 10, sessions: 1, draining: true },
  ],
  traffic: {},
  history: { created: [], live: [], queued: [], ended: {} },
};

test("figures tell what is short", () => {
  const tiles = new Map(tilesOf(DATA, 2_500_000).map((tile) => [tile.name, tile]));
  assert.deepEqual(tiles.get("Slots used"), { name: "Slots used", value: "2", of: "2", level: "warn" });
  assert.deepEqual(tiles.get("Waiting for a slot"), { name: "Waiting for a slot", value: "1", level: "warn" });
  assert.deepEqual(tiles.get("On relays"), { name: "On relays", value: "2", of: "10" });
  assert.equal(tiles.get("Watched now")?.value, "1");
  assert.equal(tiles.get("Mbit/s to viewers")?.value, "2.5");
  assert.equal(tilesOf(DATA, null).at(-1)?.value, "–");
});

test("durations are told in units that fit", () => {
  const told = [-3, 0, 119.4, 120, 7199, 7200, 172_799, 172_800].map(duration);
  assert.deepEqual(told, ["0 s", "0 s", "119 s", "2 min", "119 min", "2 h 0 min", "47 h 59 min", "2 d 0 h"]);
  assert.equal(secondsBetween("2026-01-01T00:00:00Z", "2026-01-01T00:01:30.500Z"), 90.5);
});

test("a filter finds what has all of its words", () => {
  assert.ok(isMeant(SESSION, ""));
  assert.ok(isMeant(SESSION, "ada USD"));
  assert.ok(isMeant(SESSION, "8d5f ready"));
  assert.ok(!isMeant(SESSION, "ada queued"));
});

test("reasons are told in words and by what is behind them, faults last", () => {
  assert.equal(words("never_connected"), "never connected");
  assert.deepEqual(["deleted", "idle", "backend_failed", "something_new"].map(kindOf), ["asked", "clock", "fault", "fault"]);
  const ended = { backend_failed: [5], idle: [1], max_length: [2], deleted: [1] };
  const order = endings({ ...DATA.history, ended }).map(({ name }) => name);
  assert.deepEqual(order, ["deleted", "max_length", "idle", "backend_failed"]);
});

test("an hour is whole, whatever the broker knows of it", () => {
  assert.deepEqual(hourOf([1, 2]).slice(-3), [0, 1, 2]);
  assert.equal(hourOf([1, 2]).length, 60);
  assert.deepEqual(hourOf(Array.from({ length: 70 }, (_, index) => index)).slice(0, 1), [10]);
});

test("a rate is between two counts, and starts over with the relay", () => {
  const rate = new Rate();
  assert.deepEqual([rate.add(undefined, 0), rate.add(1000, 0), rate.add(2000, 1000)], [null, null, 8000]);
  assert.deepEqual([rate.add(500, 2000), rate.add(500, 3000)], [null, 0]);
});

test("the top of a chart is round and no value exceeds it", () => {
  assert.deepEqual([[], [0], [1], [2], [3], [7], [11], [51], [0.4]].map(niceTop), [1, 1, 1, 2, 5, 10, 20, 100, 1]);
});
