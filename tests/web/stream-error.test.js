import assert from "node:assert/strict";
import test from "node:test";

import { StreamError, errorOfClose, errorOfMedia, errorOfTimeout } from "../../web/stream-error.js";

const TARGET = { host: "192.0.2.1", signalingPort: 31000, mediaPort: 31001 };

test("each close code has its meaning, and says whether to connect again", () => {
  /** @type {[number, string, boolean][]} */
  const meanings = [
    [1000, "lost", true],
    [1006, "lost", true],
    [1008, "protocol", true],
    [1011, "failed", true],
    [1012, "draining", true],
    [4001, "ended", false],
    [4003, "refused", false],
    [4999, "lost", true],
  ];
  for (const [code, meaning, mayReconnect] of meanings) {
    const error = errorOfClose({ code, reason: "" }, "connected", TARGET);
    assert.deepEqual([error.code, error.mayReconnect], [meaning, mayReconnect], `close code ${code}`);
    assert.match(error.message, /^[A-Z].*\.$/);
  }
});

test("the reason given with a close is told where it says more", () => {
  assert.equal(errorOfClose({ code: 1011, reason: "The encoder broke." }, "connected", TARGET).message, "The encoder broke.");
  assert.equal(errorOfClose({ code: 4003, reason: "Too many." }, "waiting", TARGET).message, "Too many.");
});

test("a refused WebSocket names the TCP port", () => {
  const error = errorOfClose({ code: 1006, reason: "" }, "dialing", TARGET);
  assert.equal(error.code, "unreachable");
  assert.match(error.message, /192\.0\.2\.1 on TCP port 31000/);
});

test("a timeout names what did not come", () => {
  const [dialing, waiting, answered] = /** @type {const} */ (["dialing", "waiting", "answered"]).map((progress) =>
    errorOfTimeout(progress, TARGET),
  );
  assert.deepEqual([dialing?.code, waiting?.code, answered?.code], ["unreachable", "no_answer", "no_media"]);
  assert.match(dialing?.message ?? "", /TCP port 31000/);
  assert.match(answered?.message ?? "", /UDP port 31001/);
  assert.equal(answered?.message, errorOfMedia(TARGET).message);
});

test("leaving is no fault", () => {
  const error = new StreamError("closed", "You left the stream.");
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.code], ["StreamError", "closed"]);
});

test("a token that does not hold is told as such, and asking again does not help", () => {
  for (const reason of ["no_token", "bad_token", "expired_token", "viewer_role"]) {
    const error = errorOfClose({ code: 4003, reason: `${reason}: whatever the relay says` }, "waiting", TARGET);
    assert.equal(error.code, "token");
    assert.equal(error.mayReconnect, false);
    assert.match(error.message, /token/);
  }
  assert.equal(errorOfClose({ code: 4003, reason: "constructor: x" }, "waiting", TARGET).code, "refused");
});
