import assert from "node:assert/strict";
import test from "node:test";

import { BrokerError } from "../../web/broker-answers.js";
import { isSameRoute, mayComeBack, pauseMs, routeOf } from "../../web/reconnection.js";
import { StreamError } from "../../web/stream-error.js";

const ROUTE = { host: "192.0.2.1", signalingPort: 31000, mediaPort: 31001 };

test("what a relay's death, drain or silence causes is tried again, what would be answered the same is not", () => {
  for (const code of ["lost", "draining", "unreachable", "no_answer", "no_media", "busy", "failed"]) {
    assert.equal(mayComeBack(new StreamError(code, "")), true, code);
  }
  for (const code of ["ended", "refused", "token", "insecure", "closed", "protocol", "bad_offer"]) {
    assert.equal(mayComeBack(new StreamError(code, "")), false, code);
  }
  for (const [status, may] of /** @type {[number, boolean][]} */ ([[0, true], [503, true], [429, true], [404, false], [410, false], [403, false]])) {
    assert.equal(mayComeBack(new BrokerError(status, "")), may, String(status));
  }
  assert.equal(mayComeBack(new TypeError("a fault of the page")), false);
});

test("the first attempt follows at once, the others at growing pauses that differ from viewer to viewer", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 40].map((attempt) => pauseMs(attempt, 0.5)), [0, 250, 500, 1000, 2000, 2000]);
  assert.deepEqual([pauseMs(1, 0), pauseMs(1, 1)], [187.5, 312.5]);
});

test("a route is read from its event, and from nothing else", () => {
  const data = { host: "192.0.2.1", signaling_port: 31000, media_port: 31001, at: "2026-01-01T00:00:00Z" };
  assert.deepEqual(routeOf(data), ROUTE);
  assert.equal(routeOf({ ...data, media_port: "31001" }), null);
  assert.equal(routeOf({}), null);
});

test("routes are the same where host and both ports are", () => {
  assert.equal(isSameRoute(ROUTE, { ...ROUTE }), true);
  assert.equal(isSameRoute(ROUTE, { ...ROUTE, host: "192.0.2.2" }), false);
  assert.equal(isSameRoute(ROUTE, { ...ROUTE, mediaPort: 31003 }), false);
  assert.equal(isSameRoute(ROUTE, null), false);
});
