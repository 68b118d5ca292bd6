import assert from "node:assert/strict";
import test from "node:test";

import { parseSession, placeOf } from "../../web/broker-answers.js";
import { endOf, sessionAfter, settles, warningOf } from "../../web/session-events.js";
import { endingOf, progressText, warningText } from "../../web/words.js";

const PENDING = parseSession({ id: "i", phase: "queued", status: { condition: "pending", message: "waiting" } });

/**
 * @param {string} type
 * @param {Record<string, unknown>} data
 */
function event(type, data) {
  return { type, data, id: null };
}

test("events move a pending session on, and a place in the queue is left with the queue", () => {
  const placed = sessionAfter(PENDING, event("queue", { position: 3, eta_s: 41.2 }));
  assert.deepEqual(placed.queue, { position: 3, etaS: 41.2 });
  const told = sessionAfter(placed, event("state", { state: "pending", phase: "queued", message: "still" }));
  assert.deepEqual([told.queue, told.status.message], [placed.queue, "still"]);
  const starting = sessionAfter(told, event("state", { state: "pending", phase: "starting", message: "starting" }));
  assert.deepEqual([starting.queue, starting.phase, starting.status.message], [null, "starting", "starting"]);
  assert.equal(sessionAfter(starting, event("viewer", { present: true })), starting);
});

test("a session is settled by its route, its end, or any state but pending", () => {
  const pending = [event("state", { state: "pending" }), event("queue", {}), event("warning", {}), event("reset", {})];
  const settled = [event("state", { state: "ready" }), event("state", { state: "stopped" }), event("route", {}), event("ended", {})];
  assert.deepEqual(pending.map(settles), [false, false, false, false]);
  assert.deepEqual(settled.map(settles), [true, true, true, true]);
});

test("a warning counts from when it was told, whatever the clock here says, and can be taken back", () => {
  const data = { reason: "idle", message: "No input", at: "2020-01-01T00:00:00Z", ends_at: "2020-01-01T00:00:45Z", extendable: true };
  assert.deepEqual(warningOf(data), { reason: "idle", message: "No input", leftMs: 45_000, endsAt: data.ends_at, extendable: true });
  assert.equal(warningOf({ ...data, reason: null }), null);
  assert.equal(warningOf({ ...data, ends_at: "soon" }), null);
});

test("an end is told as the broker tells whoever asks for the session then", () => {
  const [deleted, idle] = [endOf({ end_reason: "deleted", message: "Session was deleted" }), endOf({ end_reason: "idle", message: "No input" })];
  assert.deepEqual([deleted.status, idle.status, idle.endReason], [404, 410, "idle"]);
  assert.equal(endingOf(deleted, { started: true }).text, "It was ended, here or by someone else.");
  assert.equal(endingOf(idle, { started: true }).text, "No input");
});

test("a place is a position, with an estimate where one was measured", () => {
  assert.deepEqual(placeOf({ position: 1, eta_s: null, length: 4 }), { position: 1, etaS: null });
  assert.deepEqual([undefined, null, {}, { position: "1" }].map(placeOf), [null, null, null, null]);
});

test("what is waited for is told in words", () => {
  assert.equal(progressText(PENDING), "waiting");
  const told = [1, 2, 4].map((position) => progressText({ ...PENDING, queue: { position, etaS: null } }));
  assert.deepEqual(told, [
    "Every place is taken. You are next.",
    "Every place is taken. 1 is before you.",
    "Every place is taken. 3 are before you.",
  ]);
  const estimate = progressText({ ...PENDING, queue: { position: 1, etaS: 41.2 } });
  assert.equal(estimate, "Every place is taken. You are next, it takes about 42 s.");
  assert.match(progressText({ ...PENDING, queue: { position: 2, etaS: 600 } }), /about 10 min\.$/);
});

test("a warning says how long it still goes on, and never less than nothing", () => {
  assert.equal(warningText("idle", 44_100), "Are you still there? Without input the session ends in 45 s.");
  assert.equal(warningText("something_new", -5), "The session ends in 0 s.");
});
