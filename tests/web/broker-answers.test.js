import assert from "node:assert/strict";
import test from "node:test";

import { parseRoutes, parseSession, refusal } from "../../web/broker-answers.js";

const SIGNALING = { description: "signaling", destination_port: 49100, protocol: "TCP", source_port: 31000 };
const MEDIA = { description: "media", destination_port: 47998, protocol: "UDP", source_port: 31001 };
const ROUTE = { host: "192.0.2.1", signalingPort: 31000, mediaPort: 31001 };

test("routes are read flat and nested, in any order of ports", () => {
  assert.deepEqual(parseRoutes({ "192.0.2.1": [SIGNALING, MEDIA] }), ROUTE);
  assert.deepEqual(parseRoutes({ "192.0.2.1": { routes: [MEDIA, SIGNALING] } }), ROUTE);
  assert.deepEqual(parseRoutes({ "2001:db8::1": [SIGNALING, MEDIA] }), { ...ROUTE, host: "2001:db8::1" });
});

test("the first host with both ports is taken, and of each kind the first port", () => {
  const other = { ...MEDIA, source_port: 31003 };
  const routes = { "192.0.2.9": [SIGNALING], "192.0.2.1": [SIGNALING, MEDIA, other], "192.0.2.2": [SIGNALING, other] };
  assert.deepEqual(parseRoutes(routes), ROUTE);
});

test("what holds no two ports is no route", () => {
  for (const empty of [undefined, null, {}, [], "x", { h: [] }, { h: null }, { h: [null, 7] }, { h: { routes: {} } }]) {
    assert.equal(parseRoutes(empty), null);
  }
  for (const port of [0, 65536, 1.5, "31000", null]) {
    assert.equal(parseRoutes({ h: [{ ...SIGNALING, source_port: port }, MEDIA] }), null);
  }
});

test("a pending session has a phase and no route, on either mount", () => {
  const status = { condition: "pending", message: "Session is being prepared", status: false };
  const pending = parseSession({ id: "i", routes: {}, status, phase: "starting", application: "a" });
  assert.deepEqual([pending.route, pending.phase, pending.status.condition], [null, "starting", "pending"]);
  assert.equal(parseSession({ id: "i", status }).phase, null);
});

test("a session of nonsense is pending and has no id", () => {
  for (const body of [null, "x", [], { id: null, status: 7 }]) {
    const session = parseSession(body);
    assert.deepEqual([session.id, session.status.condition, session.route], ["", "pending", null]);
  }
});

test("a refusal keeps the reason, the details of each field and the time to wait", () => {
  const gone = refusal(410, { detail: "The session has ended.", end_reason: "idle" }, null);
  assert.deepEqual([gone.message, gone.endReason], ["The session has ended.", "idle"]);
  const detail = [
    { loc: ["body", "id"], msg: "Field required", type: "missing" },
    { loc: ["body", "profile"], msg: "Field required", type: "missing" },
  ];
  assert.equal(refusal(422, { detail }, null).message, "id: Field required; profile: Field required");
  assert.deepEqual([refusal(429, {}, 3).message, refusal(429, {}, 3).retryAfterS], ["The broker answered 429.", 3]);
});
