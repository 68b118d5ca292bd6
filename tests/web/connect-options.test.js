import assert from "node:assert/strict";
import test from "node:test";

import { checked, dial, signalingUrl } from "../../web/connect-options.js";

const OPTIONS = { sessionId: "0216f1ad", host: "192.0.2.1", signalingPort: 31000, mediaPort: 31001 };

test("signaling goes to the session's path on the relay's port", () => {
  assert.equal(signalingUrl(OPTIONS), "ws://192.0.2.1:31000/session/0216f1ad");
  assert.equal(signalingUrl({ ...OPTIONS, host: "relay.example", secure: true }), "wss://relay.example:31000/session/0216f1ad");
});

test("an IPv6 address stands in brackets, whether or not it came with them", () => {
  for (const host of ["2001:db8::1", "[2001:db8::1]"]) {
    assert.equal(signalingUrl({ ...OPTIONS, host }), "ws://[2001:db8::1]:31000/session/0216f1ad");
  }
});

test("a session id cannot lead to another path", () => {
  const url = new URL(signalingUrl({ ...OPTIONS, sessionId: "../x?y#z" }));
  assert.deepEqual([url.pathname, url.search, url.hash], ["/session/..%2Fx%3Fy%23z", "", ""]);
});

test("by default the scheme is the page's own", (context) => {
  Object.defineProperty(globalThis, "location", { value: { protocol: "https:" }, configurable: true });
  context.after(() => Reflect.deleteProperty(globalThis, "location"));
  assert.match(signalingUrl(OPTIONS), /^wss:/);
  assert.match(signalingUrl({ ...OPTIONS, secure: false }), /^ws:/);
});

test("options that cannot be meant are refused", () => {
  for (const port of [0, 65536, 1.5, Number.NaN]) {
    assert.throws(() => checked({ ...OPTIONS, mediaPort: port }), /mediaPort must be a port from 1 to 65535/);
  }
  assert.throws(() => checked({ ...OPTIONS, host: "" }), /sessionId and host are needed/);
  assert.equal(checked(OPTIONS), OPTIONS);
});

test("the token goes in a sub-protocol beside the session's, never in the address", (context) => {
  /** @type {unknown[][]} */
  const dialled = [];
  const original = globalThis.WebSocket;
  context.after(() => (globalThis.WebSocket = original));
  globalThis.WebSocket = /** @type {typeof WebSocket} */ (
    /** @type {unknown} */ (
      class {
        /** @param {unknown[]} given */
        constructor(...given) {
          dialled.push(given);
        }
      }
    )
  );
  dial(checked({ ...OPTIONS, token: "a.b-c.d_e" }));
  dial(checked({ ...OPTIONS, token: null }));
  const url = "ws://192.0.2.1:31000/session/0216f1ad";
  assert.deepEqual(dialled, [
    [url, ["x-nv-sessionid.0216f1ad", "Authorization-Bearer.a.b-c.d_e"]],
    [url, ["x-nv-sessionid.0216f1ad"]],
  ]);
});

test("what is no token is told before anything is dialled", () => {
  for (const token of ["", "pfk_key", "a.b.c, x-nv-sessionid.other"]) {
    assert.throws(() => checked({ ...OPTIONS, token }), TypeError);
  }
});
