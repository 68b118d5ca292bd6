import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";

import { expiryOf, isToken, keepRenewed, readFragment } from "../../web/admission-token.js";

const ID = "0216f1ad-e197-4e12-8727-97a8e9b4f257";

/** @param {number} lifeS  a token that has so long to live @param {string} [jti] */
function tokenFor(lifeS, jti = "a") {
  const exp = Date.now() / 1000 + lifeS;
  return ["e30", Buffer.from(JSON.stringify({ exp, jti })).toString("base64url"), "c2ln"].join(".");
}

test("session and token come by the fragment, and only the session stays there", () => {
  const token = tokenFor(60);
  assert.deepEqual(readFragment(`#session=${ID}&token=${token}`), { session: ID, token, rest: `#session=${ID}` });
  assert.deepEqual(readFragment(`#token=${token}`), { session: null, token, rest: "" });
  assert.deepEqual(readFragment(`#session=${ID}`), { session: ID, token: null, rest: `#session=${ID}` });
  assert.deepEqual(readFragment(""), { session: null, token: null, rest: "" });
  assert.deepEqual(readFragment("#session=../x&token=a b"), { session: null, token: null, rest: "" });
});

test("a token is what may stand in a sub-protocol", () => {
  assert.ok(isToken(tokenFor(1)));
  for (const other of ["", "a.b", "a.b.c, evil", "a.b.c d", "ä.b.c", "a..c", undefined, 7, { length: 3 }]) {
    assert.ok(!isToken(other), String(other));
  }
});

test("a token says when it expires, or nothing", () => {
  const left = (expiryOf(tokenFor(90)) ?? 0) - Date.now();
  assert.ok(left > 89_000 && left <= 90_000, String(left));
  for (const other of ["a.b.c", "", `e30.${Buffer.from("{}").toString("base64url")}.c2ln`, "e30.bnVsbA.c2ln"]) {
    assert.equal(expiryOf(other), null);
  }
});

/**
 * A broker that answers token requests so, one after the other.
 *
 * @param {import("node:test").TestContext} context
 * @param {{status: number, token?: string}[]} answers
 */
async function broker(context, answers) {
  /** @type {string[]} */
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const { status, token } = answers.shift() ?? { status: 500 };
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ token }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `http://127.0.0.1:${port}/root/`, asked };
}

test("a token is renewed before it expires, each time with the latest", async (context) => {
  const [first, second, third] = [tokenFor(1.5, "1"), tokenFor(1.5, "2"), tokenFor(60, "3")];
  const { url, asked } = await broker(context, [{ status: 200, token: second }, { status: 200, token: third }]);
  /** @type {string[]} */
  const taken = [];
  const ended = new AbortController();
  await keepRenewed(
    { brokerUrl: url, sessionId: ID, token: first },
    (token) => {
      taken.push(token);
      if (taken.length === 2) {
        ended.abort();
      }
    },
    ended.signal,
  );
  assert.deepEqual(taken, [second, third]);
  assert.deepEqual(asked, [first, second].map((token) => `POST /root/stream/${ID}/token Bearer ${token}`));
});

test("who is refused does not ask again", async (context) => {
  for (const status of [401, 403, 404, 410]) {
    const { url, asked } = await broker(context, [{ status }]);
    await keepRenewed({ brokerUrl: url, sessionId: ID, token: tokenFor(1) }, assert.fail, new AbortController().signal);
    assert.equal(asked.length, 1);
  }
});

test("a token without an end, or a stream that is over, asks nothing", async (context) => {
  const { url, asked } = await broker(context, []);
  await keepRenewed({ brokerUrl: url, sessionId: ID, token: "a.b.c" }, assert.fail, new AbortController().signal);
  await keepRenewed({ brokerUrl: url, sessionId: ID, token: tokenFor(60) }, assert.fail, AbortSignal.abort());
  assert.deepEqual(asked, []);
});
