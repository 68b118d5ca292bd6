import assert from "node:assert/strict";
import test from "node:test";

import { BrokerError } from "../../web/broker-answers.js";
import { StreamError } from "../../web/stream-error.js";
import { CONNECTING, STEPS, endingOf, stepOf } from "../../web/words.js";

const STARTED = { started: true };
const NOT_STARTED = { started: false };

test("the phases of a session are steps on the way, before the page's own", () => {
  assert.deepEqual(["queued", "placing", "starting", "routing"].map(stepOf), [0, 0, 1, 2]);
  assert.deepEqual([stepOf(null), stepOf("constructor"), stepOf("new one")], [0, 0, 0]);
  assert.equal(STEPS[CONNECTING], "Bring the picture");
});

test("a session that ended is over, with the broker's reason and what to do", () => {
  for (const endReason of ["idle", "backend_failed", "never_connected", "relay_lost", "something_new", "constructor", null]) {
    const ending = endingOf(new BrokerError(410, "The stage broke.", { endReason }), STARTED);
    assert.deepEqual([ending.heading, ending.text, ending.over], ["The session has ended", "The stage broke.", true]);
    assert.match(ending.advice, /^(Start it again|Try again)/);
  }
});

test("a session that is unknown by now was ended; an application that is unknown is named", () => {
  assert.match(endingOf(new BrokerError(404, "no session"), STARTED).text, /was ended/);
  const unknown = endingOf(new BrokerError(404, "There is no application 'x'."), NOT_STARTED);
  assert.deepEqual([unknown.text, unknown.over], ["There is no application 'x'.", true]);
});

test("a broker without a place, or away, says so in words", () => {
  assert.equal(endingOf(new BrokerError(429, "No slot."), NOT_STARTED).heading, "Every place is taken");
  assert.equal(endingOf(new BrokerError(0, "x"), NOT_STARTED).heading, "The broker cannot be reached");
  assert.equal(endingOf(new BrokerError(0, "x"), STARTED).over, false, "the session may live");
  assert.equal(endingOf(new BrokerError(500, "x"), STARTED).heading, "The broker is at fault");
});

test("a stream that stopped leaves its session alive, unless that is what ended", () => {
  for (const code of ["unreachable", "no_answer", "no_media", "lost", "draining", "failed", "refused", "busy", "new_code", "constructor"]) {
    const ending = endingOf(new StreamError(code, "why"), STARTED);
    assert.deepEqual([ending.text, ending.over], ["why", false], code);
    assert.match(ending.advice, /reconnect/i);
  }
  assert.equal(endingOf(new StreamError("ended", "why"), STARTED).over, true);
});

test("what is no error of ours is told as it is", () => {
  assert.equal(endingOf(new TypeError("odd"), STARTED).text, "odd");
  assert.equal(endingOf("odd", NOT_STARTED).text, "odd");
});
