import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";

import { BrokerError } from "../../web/broker-answers.js";
import { EventParser, EventsUnavailable, followEvents } from "../../web/events-client.js";

const ID = "0216f1ad-e197-4e12-8727-97a8e9b4f257";

/**
 * A broker that tells this on each connection, one after the other, and keeps what it was asked.
 *
 * @param {import("node:test").TestContext} context
 * @param {{status?: number, type?: string, body?: string, open?: boolean, retryAfter?: string}[]} answers
 */
async function telling(context, answers) {
  /** @type {{url: string | undefined, after: string | undefined, authorization: string | undefined}[]} */
  const asked = [];
  const server = createServer((request, response) => {
    const { authorization, "last-event-id": after } = request.headers;
    asked.push({ url: request.url, after: after?.toString(), authorization });
    const { status = 200, type = "text/event-stream", body = "", open, retryAfter } = answers.shift() ?? { status: 404 };
    response.writeHead(status, { "Content-Type": type, ...(retryAfter ? { "Retry-After": retryAfter } : {}) });
    response.write(body);
    open || response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  context.after(() => (server.closeAllConnections(), new Promise((resolve) => server.close(() => resolve(null)))));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { base: `http://127.0.0.1:${address.port}/`, asked };
}

/**
 * @param {string} type
 * @param {unknown} data
 * @param {number} [id]
 */
function told(type, data, id) {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** @param {AsyncIterable<import("../../web/events-client.js").BrokerEvent>} events */
async function all(events) {
  const heard = [];
  for await (const event of events) {
    heard.push(event);
  }
  return heard;
}

test("events are read however their text is cut, and whatever ends their lines", () => {
  const text = told("state", { a: "ü" }, 1) + ": a comment\n\n" + told("queue", {}, 2).replaceAll("\n", "\r\n") + "data: []\n\n";
  for (const size of [1, 2, 3, 7, text.length]) {
    const parser = new EventParser();
    const heard = [];
    for (let at = 0; at < text.length; at += size) {
      heard.push(...parser.push(text.slice(at, at + size)));
    }
    assert.deepEqual(heard, [
      { type: "state", data: { a: "ü" }, id: "1" },
      { type: "queue", data: {}, id: "2" },
    ]);
  }
});

test("a line that does not end is given up", () => {
  const parser = new EventParser();
  assert.throws(() => parser.push("data: " + "x".repeat(300_000)), EventsUnavailable);
});

test("a session's events come until its end, with the token that was given", async (context) => {
  const { base, asked } = await telling(context, [{ body: told("state", {}, 1) + told("ended", { end_reason: "idle" }, 2), open: true }]);
  const heard = await all(followEvents(base, { sessionId: ID, token: "key" }));
  assert.deepEqual(heard.map(({ type }) => type), ["state", "ended"]);
  assert.deepEqual(asked, [{ url: `/stream/${ID}/events`, after: undefined, authorization: "Bearer key" }]);
});

test("a stream that breaks off is taken up after the last event, again and again as long as something comes", async (context) => {
  const answers = [1, 2, 3, 4, 5, 6].map((id) => ({ body: told("state", {}, id) }));
  const { base, asked } = await telling(context, [...answers.slice(0, 2), { body: told("ended", {}, 9) }]);
  const heard = await all(followEvents(base, { sessionId: ID }));
  assert.deepEqual(heard.map(({ id }) => id), ["1", "2", "9"]);
  assert.deepEqual(asked.map(({ after }) => after), [undefined, "1", "2"]);
});

test("a refusal is the broker's word and is not asked for again", async (context) => {
  const { base, asked } = await telling(context, [{ status: 403, type: "application/json", body: '{"detail": "Not yours."}' }]);
  await assert.rejects(all(followEvents(base, { sessionId: ID })), (error) => {
    assert.ok(error instanceof BrokerError);
    assert.deepEqual([error.status, error.message], [403, "Not yours."]);
    return true;
  });
  assert.equal(asked.length, 1);
});

test("what does not come by itself in a few attempts is given up", async (context) => {
  const { base, asked } = await telling(context, [{ status: 503 }, { status: 502 }, { body: "" }]);
  /** @type {boolean[]} */
  const connections = [];
  const events = followEvents(base, { mostFailures: 1, onConnection: (connected) => connections.push(connected) });
  await assert.rejects(all(events), EventsUnavailable);
  assert.equal(asked.length, 2);
  assert.deepEqual(connections, [false, false]);
});

test("something else than events is given up at once", async (context) => {
  const { base, asked } = await telling(context, [{ type: "text/html", body: "<p>Please log in" }]);
  await assert.rejects(all(followEvents(base)), EventsUnavailable);
  assert.equal(asked.length, 1);
});

test("an abort ends it at once, while it listens and while it pauses", async (context) => {
  const { base } = await telling(context, [{ body: told("reset", {}, 1), open: true }, { status: 503, retryAfter: "30" }]);
  const [listening, pausing] = [new AbortController(), new AbortController()];
  const heard = followEvents(base, { signal: listening.signal });
  assert.equal((await heard.next()).value?.type, "reset");
  setTimeout(() => listening.abort(), 5);
  await assert.rejects(heard.next(), { name: "AbortError" });
  const began = performance.now();
  setTimeout(() => pausing.abort(), 50);
  await assert.rejects(all(followEvents(base, { signal: pausing.signal })), { name: "AbortError" });
  assert.ok(performance.now() - began < 5000);
});
