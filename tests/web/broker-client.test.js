import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";

import { BrokerClient, BrokerError, parseRoutes } from "../../web/broker-client.js";

const ID = "0216f1ad-e197-4e12-8727-97a8e9b4f257";
const PORTS = [
  { description: "signaling", destination_port: 49100, protocol: "TCP", source_port: 31000 },
  { description: "media", destination_port: 47998, protocol: "UDP", source_port: 31001 },
];
const ROUTE = { host: "192.0.2.1", signalingPort: 31000, mediaPort: 31001 };
const PENDING = { id: ID, status: { condition: "pending", message: "Session is being prepared", status: false } };
const READY = {
  id: ID,
  routes: { "192.0.2.1": PORTS },
  status: { condition: "ready", message: "Session is active", status: true },
};

/**
 * A broker that gives these answers, one after the other, and keeps what it was asked.
 *
 * @param {import("node:test").TestContext} context
 * @param {{status: number, body?: unknown, headers?: Record<string, string>}[]} answers
 */
async function scripted(context, answers) {
  /** @type {{call: string, body: string, prefer: string | undefined}[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) {
      body += chunk;
    }
    asked.push({ call: `${request.method} ${request.url}`, body, prefer: request.headers.prefer?.toString() });
    const answer = answers.shift() ?? { status: 500 };
    response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
    response.end(answer.body === undefined ? "" : JSON.stringify(answer.body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  context.after(() => new Promise((resolve) => server.close(() => resolve(null))));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { client: new BrokerClient(`http://127.0.0.1:${address.port}`), asked };
}

test("routes are read flat and nested, the first host first", () => {
  assert.deepEqual(parseRoutes({ "192.0.2.1": PORTS }), ROUTE);
  assert.deepEqual(parseRoutes({ "192.0.2.1": { routes: PORTS }, "192.0.2.2": { routes: PORTS } }), ROUTE);
  for (const empty of [undefined, null, {}, [], "x", { "192.0.2.1": [] }, { "192.0.2.1": [PORTS[0]] }]) {
    assert.equal(parseRoutes(empty), null);
  }
});

test("a start waits until the session is ready and tells how far it is", async (context) => {
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING, headers: { "Retry-After": "0.01" } },
    { status: 202, body: PENDING, headers: { "Retry-After": "0.01" } },
    { status: 200, body: READY },
  ]);
  /** @type {string[]} */
  const told = [];
  const session = await client.start(
    { id: "usd-viewer", profile: "default" },
    { onProgress: (pending) => told.push(pending.status.message) },
  );
  assert.deepEqual(session.route, ROUTE);
  assert.deepEqual(told, ["Session is being prepared", "Session is being prepared"]);
  assert.deepEqual(
    asked.map(({ call }) => call),
    ["POST /stream", `GET /stream/${ID}`, `GET /stream/${ID}`],
  );
  assert.deepEqual(JSON.parse(asked[0]?.body ?? ""), { id: "usd-viewer", profile: "default" });
  assert.equal(asked[1]?.prefer, "wait=20");
});

test("a session that fails while it starts is not asked for again", async (context) => {
  const gone = { detail: "The streaming backend failed: no stage", end_reason: "backend_failed" };
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING },
    { status: 410, body: gone },
  ]);
  await assert.rejects(client.start({ id: "a", profile: "default" }), (error) => {
    assert.ok(error instanceof BrokerError);
    assert.deepEqual([error.status, error.message, error.endReason], [410, gone.detail, "backend_failed"]);
    return true;
  });
  assert.equal(asked.length, 2);
});

test("a refusal is told in the broker's own words", async (context) => {
  const detail = [{ loc: ["body", "arguments", "x"], msg: "no such argument", type: "extra_forbidden" }];
  const { client } = await scripted(context, [
    { status: 422, body: { detail } },
    { status: 500, body: undefined },
  ]);
  await assert.rejects(client.list(), { status: 422, message: "arguments.x: no such argument" });
  await assert.rejects(client.list(), { status: 500, message: "The broker answered 500." });
});

test("ending a session that is gone is no error", async (context) => {
  const { client, asked } = await scripted(context, [
    { status: 204 },
    { status: 404, body: { detail: "gone" } },
    { status: 503, body: { detail: "store away" } },
  ]);
  await client.end(ID);
  await client.end(ID);
  await assert.rejects(client.end(ID), { status: 503 });
  assert.equal(asked[0]?.call, `DELETE /stream/${ID}`);
});

test("a wait can be given up", async (context) => {
  const { client } = await scripted(context, [
    { status: 202, body: PENDING },
    { status: 202, body: PENDING, headers: { "Retry-After": "60" } },
  ]);
  const attempt = new AbortController();
  const wait = client.start({ id: "a", profile: "default" }, { signal: attempt.signal });
  setTimeout(() => attempt.abort(new Error("enough")), 50);
  await assert.rejects(wait, { message: "enough" });
});

test("a broker that is away is named", async () => {
  await assert.rejects(new BrokerClient("http://127.0.0.1:9").list(), {
    status: 0,
    message: "The broker at http://127.0.0.1:9 cannot be reached.",
  });
});

test("applications are listed with what the page shows", async (context) => {
  const item = { id: "a", name: "A", description: "d", tags: ["t"] };
  const { client } = await scripted(context, [{ status: 200, body: { offset: 0, limit: 50, count: 1, items: [item] } }]);
  assert.deepEqual(await client.applications(), [item]);
});
