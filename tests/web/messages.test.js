import assert from "node:assert/strict";
import test from "node:test";

import { InputEncoder, MAX_MESSAGE_BYTES, encodeMessage, modifiersOf, noticeOf, parseMessage } from "../../web/messages.js";

test("input events are numbered one after the other", () => {
  const encoder = new InputEncoder();
  const texts = [encoder.encode({ event: "blur" }), encoder.encode({ event: "wheel", dx: 0, dy: 3 })];
  assert.deepEqual(
    texts.map((text) => JSON.parse(text)),
    [
      { type: "input", event: "blur", seq: 0 },
      { type: "input", event: "wheel", dx: 0, dy: 3, seq: 1 },
    ],
  );
});

test("modifiers are a bit mask of shift, control, alt and meta", () => {
  const none = { shiftKey: false, ctrlKey: false, altKey: false, metaKey: false };
  assert.equal(modifiersOf(none), 0);
  assert.equal(modifiersOf({ ...none, shiftKey: true, altKey: true }), 5);
  assert.equal(modifiersOf({ ...none, ctrlKey: true, metaKey: true }), 10);
});

test("an application message comes back as it was sent", () => {
  const text = encodeMessage("openStageRequest", { url: "a/b.usda" });
  assert.deepEqual(JSON.parse(text), { event_type: "openStageRequest", payload: { url: "a/b.usda" } });
  assert.deepEqual(parseMessage(text), { eventType: "openStageRequest", payload: { url: "a/b.usda" } });
});

test("a message that is too long is refused before it is sent", () => {
  assert.throws(() => encodeMessage("long", { text: "ä".repeat(MAX_MESSAGE_BYTES / 2) }), RangeError);
});

test("what is no application message is passed over", () => {
  const foreign = ["", "{", "null", "[1]", "7", '{"event_type": 1}', '{"event_type": "a", "payload": [1]}', "x".repeat(70000)];
  for (const data of [...foreign, new ArrayBuffer(4), undefined]) {
    assert.equal(parseMessage(data), null);
  }
  assert.deepEqual(parseMessage('{"event_type": "a"}'), { eventType: "a", payload: {} });
});

test("a notice has a level and some text", () => {
  const notice = (/** @type {Record<string, unknown>} */ payload) => noticeOf({ eventType: "notice", payload });
  assert.deepEqual(notice({ level: "error", message: "No stage" }), { level: "error", message: "No stage" });
  assert.deepEqual(notice({ level: "loud", message: "x" }), { level: "info", message: "x" });
  assert.equal(notice({ message: "x".repeat(5000) })?.message.length, 1000);
  for (const payload of [{}, { message: " " }, { message: 7 }]) {
    assert.equal(notice(payload), null);
  }
  assert.equal(noticeOf({ eventType: "other", payload: { message: "x" } }), null);
});
