import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";

import { BrokerClient, BrokerError } from "../../web/broker-client.js";

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
 * @param {{status: number, body?: unknown, text?: string, headers?: Record<string, string>, after?: Promise<unknown>}[]} answers
 * @param {string} [path]  of the broker's root
 */
async function scripted(context, answers, path = "") {
  /** @type {{call: string, body: string, prefer: string | undefined, authorization: string | undefined}[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) {
      body += chunk;
    }
    const { prefer, authorization } = request.headers;
    asked.push({ call: `${request.method} ${request.url}`, body, prefer: prefer?.toString(), authorization });
    const answer = answers.shift() ?? { status: 500 };
    await answer.after;
    response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
    response.end(answer.text ?? (answer.body === undefined ? "" : JSON.stringify(answer.body)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  context.after(() => (server.closeAllConnections(), new Promise((resolve) => server.close(() => resolve(null)))));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { client: new BrokerClient(`http://127.0.0.1:${address.port}${path}`), asked };
}

/**
 * @param {() => boolean} condition
 */
async function until(condition) {
  for (const deadline = Date.now() + 5000; !condition(); ) {
    assert.ok(Date.now() < deadline, "it did not come about within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

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
  assert.equal(asked[1]?.prefer, "wait=1", "each phase is to be seen");
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

test("a wait can be given up, which ends the session", async (context) => {
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING },
    { status: 202, body: PENDING, headers: { "Retry-After": "60" } },
    { status: 204 },
  ]);
  const attempt = new AbortController();
  const wait = client.start({ id: "a", profile: "default" }, { signal: attempt.signal });
  setTimeout(() => attempt.abort(new Error("enough")), 50);
  await assert.rejects(wait, { message: "enough" });
  await until(() => asked.some(({ call }) => call === `DELETE /stream/${ID}`));
});

test("a start given up before its answer leaves no session behind", async (context) => {
  /** @type {(value?: unknown) => void} */
  let answerNow = () => {};
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING, after: new Promise((resolve) => (answerNow = resolve)) },
    { status: 204 },
  ]);
  const attempt = new AbortController();
  const wait = client.start({ id: "a", profile: "default" }, { signal: attempt.signal });
  await until(() => asked.length === 1);
  attempt.abort(new Error("enough"));
  await assert.rejects(wait, { message: "enough" });
  answerNow();
  await until(() => asked.length === 2);
  assert.equal(asked[1]?.call, `DELETE /stream/${ID}`);
});

test("a start that was given up before it began asks for nothing", async (context) => {
  const { client, asked } = await scripted(context, []);
  const signal = AbortSignal.abort(new Error("never mind"));
  await assert.rejects(client.start({ id: "a", profile: "default" }, { signal }), { message: "never mind" });
  assert.deepEqual(asked, []);
});

test("a wait outlives a broker that is away for a moment, and no longer", async (context) => {
  const away = { status: 503, body: { detail: "The session store is not available." }, headers: { "Retry-After": "0.01" } };
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING },
    away,
    { ...away, status: 502 },
    { status: 200, body: READY },
    { status: 202, body: PENDING },
    ...Array.from({ length: 9 }, () => away),
  ]);
  assert.equal((await client.start({ id: "a", profile: "default" })).id, ID);
  await assert.rejects(client.start({ id: "a", profile: "default" }), { status: 503, message: away.body.detail });
  assert.equal(asked.length, 4 + 1 + 5);
});

test("a broker without a place says when to ask again", async (context) => {
  const detail = "There is no free slot now. Try again in 10 s.";
  const { client } = await scripted(context, [{ status: 429, body: { detail }, headers: { "Retry-After": "10" } }]);
  const start = client.start({ id: "a", profile: "default" });
  await assert.rejects(start, { status: 429, message: detail, retryAfterS: 10 });
});

test("a session that is said to have failed is not waited for", async (context) => {
  const failed = { ...PENDING, status: { condition: "failed", message: "No stage", status: false } };
  const { client, asked } = await scripted(context, [{ status: 202, body: failed }]);
  await assert.rejects(client.start({ id: "a", profile: "default" }), { status: 410, message: "No stage" });
  assert.equal(asked.length, 1);
});

test("what is no broker is not taken for one", async (context) => {
  const { client } = await scripted(context, [{ status: 200, body: "a page" }]);
  await assert.rejects(client.start({ id: "a", profile: "default" }), { message: /not that of a broker/ });
});

test("a broker below a path is asked there", async (context) => {
  const { client, asked } = await scripted(context, [{ status: 200, body: READY }], "/ferry/");
  const session = await client.get(ID);
  assert.deepEqual([session.id, session.route, session.status.condition], [ID, ROUTE, "ready"]);
  assert.equal(asked[0]?.call, `GET /ferry/stream/${ID}`);
});

test("versions and profiles of an application are listed", async (context) => {
  const profile = { id: "default", name: "Default", description: "d" };
  const { client, asked } = await scripted(context, [
    { status: 200, body: [{ version: "1.0.0" }, { version: "1.1.0" }] },
    { status: 200, body: [profile] },
  ]);
  assert.deepEqual(await client.versions("a"), ["1.0.0", "1.1.0"]);
  assert.deepEqual(await client.profiles("a", "1.1.0"), [profile]);
  assert.deepEqual(
    asked.map(({ call }) => call),
    ["GET /cfg/apps/a/versions", "GET /cfg/apps/a/versions/1.1.0/profiles"],
  );
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

test("who asks is said in every request, and not before it is known", async (context) => {
  const answer = { status: 200, body: { ...READY, token: "a.b.c" } };
  const { client, asked } = await scripted(context, [answer, answer, { status: 204 }]);
  assert.equal((await client.get(ID)).token, "a.b.c");
  client.accessToken = "pfk_key";
  await client.get(ID);
  await client.end(ID);
  assert.deepEqual(asked.map(({ authorization }) => authorization), [undefined, "Bearer pfk_key", "Bearer pfk_key"]);
});

test("a refusal for want of identity is told with its status", async (context) => {
  const { client } = await scripted(context, [
    { status: 401, body: { detail: "This needs authentication." } },
    { status: 401, body: { detail: "This API key is not known here." } },
  ]);
  await assert.rejects(client.get(ID), { status: 401, message: "This server wants to know who you are." });
  client.accessToken = "pfk_old";
  await assert.rejects(client.get(ID), { status: 401, message: "This API key is not known here." });
});

test("where it is asked to, it follows events, and asks for the session once they tell that it is settled", async (context) => {
  const events = 'event: queue\ndata: {"position": 2, "eta_s": null}\n\nevent: state\ndata: {"state": "ready"}\n\n';
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING },
    { status: 200, text: events, headers: { "Content-Type": "text/event-stream" } },
    { status: 200, body: READY },
  ]);
  /** @type {(number | undefined)[]} */
  const places = [];
  const onProgress = (/** @type {import("../../web/broker-client.js").Session} */ session) => places.push(session.queue?.position);
  const session = await client.ready(ID, { onProgress, events: true });
  assert.deepEqual(session.route, ROUTE);
  assert.deepEqual(places, [undefined, 2]);
  assert.deepEqual(asked.map(({ call }) => call), [`GET /stream/${ID}`, `GET /stream/${ID}/events`, `GET /stream/${ID}`]);
});

test("where there are no events it asks as before", async (context) => {
  const { client, asked } = await scripted(context, [
    { status: 202, body: PENDING },
    { status: 404, body: { detail: "Not Found" } },
    { status: 200, body: READY },
  ]);
  assert.deepEqual((await client.ready(ID, { events: true })).route, ROUTE);
  assert.equal(asked.length, 3);
});
