import assert from "node:assert/strict";
import test from "node:test";

import { BrokerError } from "../../web/broker-answers.js";
import { LastingStream } from "../../web/lasting-stream.js";
import { StreamError } from "../../web/stream-error.js";

/**
 * @typedef {import("../../web/broker-answers.js").Session} Session
 * @typedef {import("../../web/connect-options.js").ConnectOptions} ConnectOptions
 * @typedef {import("../../web/events-client.js").BrokerEvent} BrokerEvent
 * @typedef {import("../../web/stream-client.js").StreamConnection} StreamConnection
 */

const LOST = new StreamError("lost", "The connection to the relay was lost.");
const REFUSED = new StreamError("unreachable", "The connection was refused.");

/**
 * @param {number} port
 * @returns {Session}
 */
function at(port) {
  return {
    id: "0216f1ad-e197-4e12-8727-97a8e9b4f257",
    application: "app",
    phase: null,
    queue: null,
    status: { condition: "ready", message: "" },
    route: { host: "192.0.2.1", signalingPort: port, mediaPort: port + 1 },
    token: null,
  };
}

/** A relay's end of one connection, without a network. */
class Line extends EventTarget {
  state = "connecting";
  role = "controller";
  token = null;
  /** @type {unknown[]} */
  sent = [];
  /** @type {(value: void) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};

  /** @param {ConnectOptions} options */
  constructor(options) {
    super();
    this.options = options;
    this.ready = new Promise((resolve, reject) => ([this.#resolve, this.#reject] = [resolve, reject]));
    this.ready.catch(() => {});
    options.signal?.addEventListener("abort", () => this.end(options.signal?.reason));
  }

  connect() {
    this.state = "connected";
    this.dispatchEvent(new Event("statechange"));
    this.#resolve();
  }

  /** @param {unknown} reason */
  end(reason) {
    if (this.state !== "ended") {
      this.state = "ended";
      this.#reject(reason);
      this.dispatchEvent(new CustomEvent("end", { detail: reason }));
    }
  }

  /** @param {string} name */
  sendMessage(name) {
    return this.sent.push(name) > 0;
  }

  close() {
    this.end(new StreamError("closed", "You left the stream."));
  }
}

/** A stream with its lines, and a broker that answers with `where` and tells what is pushed. */
function scene(/** @type {Partial<import("../../web/lasting-stream.js").Options>} */ more = {}) {
  /** @type {Line[]} */
  const lines = [];
  /** @type {BrokerEvent[]} */
  const events = [];
  /** @type {string[]} */
  const states = [];
  let wake = () => {};
  const broker = {
    asked: 0,
    /** @type {Session | Error} */
    where: at(1000),
    async ready() {
      broker.asked++;
      if (broker.where instanceof Error) {
        throw broker.where;
      }
      return broker.where;
    },
    /**
     * @param {string} _id
     * @param {AbortSignal} [signal]
     */
    async *events(_id, signal) {
      signal?.addEventListener("abort", () => wake());
      while (!signal?.aborted) {
        yield* events.splice(0);
        await new Promise((resolve) => ((wake = () => resolve(null)), events.length > 0 && wake()));
      }
    },
  };
  const stream = new LastingStream({
    broker,
    session: at(1000),
    open: (options) => /** @type {StreamConnection} */ (/** @type {unknown} */ (lines[lines.push(new Line(options)) - 1])),
    ...more,
  });
  stream.addEventListener("statechange", () => states.push(stream.state));
  const ended = new Promise((resolve) => {
    stream.addEventListener("end", (event) => resolve(/** @type {CustomEvent} */ (event).detail));
  });
  /** @param {string} type @param {Record<string, unknown>} data */
  const tell = (type, data) => (events.push({ type, data, id: null }), wake());
  /** @param {number} number */
  const line = async (number) => {
    for (const deadline = Date.now() + 5000; lines.length < number; ) {
      assert.ok(Date.now() < deadline, `there was no connection number ${number} within 5 s`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return /** @type {Line} */ (lines[number - 1]);
  };
  return { stream, broker, lines, line, states, ended, tell };
}

/** @param {number} port */
function routeEvent(port) {
  return { host: "192.0.2.1", signaling_port: port, media_port: port + 1 };
}

test("a first attempt that fails ends it, as there was nothing to come back to", async () => {
  const { stream, line, ended, broker } = scene();
  (await line(1)).end(REFUSED);
  await assert.rejects(stream.ready, REFUSED);
  assert.equal(await ended, REFUSED);
  assert.equal(broker.asked, 0);
});

test("a lost stream comes back at the route that the broker gives then", async () => {
  const { stream, line, broker, states } = scene();
  (await line(1)).connect();
  await stream.ready;
  broker.where = at(2000);
  (await line(1)).end(LOST);
  const second = await line(2);
  assert.deepEqual([second.options.signalingPort, second.options.mediaPort], [2000, 2001]);
  second.connect();
  assert.equal(stream.sendMessage("hello"), true);
  assert.deepEqual(second.sent, ["hello"]);
  assert.deepEqual(states, ["connected", "reconnecting", "connected"]);
  stream.close();
});

test("while the broker knows of no other route the old one is tried, with pauses", async () => {
  const { stream, line, states } = scene();
  (await line(1)).connect();
  await stream.ready;
  (await line(1)).end(new StreamError("draining", "The relay is being restarted."));
  (await line(2)).end(REFUSED);
  const third = await line(3);
  assert.equal(third.options.signalingPort, 1000);
  assert.ok(Number(third.options.timeoutMs) <= 5000, "nobody may answer there, so it is not waited for long");
  third.connect();
  assert.deepEqual(states, ["connected", "reconnecting", "connected"]);
  stream.close();
});

test("a route that is told ends the pause, and the attempt on the old way", async () => {
  const { stream, line, broker, tell } = scene();
  (await line(1)).connect();
  await stream.ready;
  (await line(1)).end(LOST);
  const second = await line(2); // nothing answers there
  broker.where = at(2000);
  tell("route", routeEvent(2000));
  const third = await line(3);
  assert.equal(second.state, "ended");
  assert.equal(third.options.signalingPort, 2000);
  third.connect();
  stream.close();
});

test("a stream that seems to be well moves with its session", async () => {
  const { stream, line, lines, broker, tell } = scene();
  (await line(1)).connect();
  await stream.ready;
  tell("route", routeEvent(1000));
  broker.where = at(2000);
  tell("route", routeEvent(2000));
  (await line(2)).connect();
  assert.equal((await line(1)).state, "ended");
  assert.equal(lines.length, 2);
  stream.close();
});

test("the end of the session, told or answered, is the end of the stream", async () => {
  const told = scene();
  (await told.line(1)).connect();
  await told.stream.ready;
  told.tell("ended", { end_reason: "idle", message: "No input came." });
  const end = await told.ended;
  assert.ok(end instanceof BrokerError && end.endReason === "idle");
  assert.equal((await told.line(1)).state, "ended");

  const answered = scene();
  (await answered.line(1)).connect();
  await answered.stream.ready;
  answered.broker.where = new BrokerError(410, "gone", { endReason: "relay_lost" });
  (await answered.line(1)).end(LOST);
  assert.equal(await answered.ended, answered.broker.where);
  assert.equal(answered.lines.length, 1);
});

test("a broker that is away is asked again, until it is too late", async () => {
  const { stream, line, broker, ended } = scene({ giveUpAfterMs: 400 });
  (await line(1)).connect();
  await stream.ready;
  broker.where = new BrokerError(503, "The store is away.");
  (await line(1)).end(LOST);
  assert.equal(await ended, broker.where);
  assert.ok(broker.asked >= 2);
});

test("a refusal is the end, and nobody is asked", async () => {
  const { stream, line, broker, ended } = scene();
  (await line(1)).connect();
  await stream.ready;
  (await line(1)).end(new StreamError("refused", "The session does not take this viewer."));
  const end = await ended;
  assert.ok(end instanceof StreamError && end.code === "refused");
  assert.equal(broker.asked, 0);
});

test("who leaves while it comes back has left", async () => {
  const { stream, line, lines, ended } = scene();
  (await line(1)).connect();
  await stream.ready;
  (await line(1)).end(LOST);
  stream.close();
  const end = await ended;
  assert.ok(end instanceof StreamError && end.code === "closed");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(lines.every((one) => one.state === "ended"));
  assert.equal(stream.state, "ended");
});

test("a signal ends it, and what is told of the session is passed on", async () => {
  const leaving = new AbortController();
  const { stream, line, ended, tell } = scene({ signal: leaving.signal });
  const heard = new Promise((resolve) => {
    stream.addEventListener("session", (event) => resolve(/** @type {CustomEvent} */ (event).detail.type));
  });
  (await line(1)).connect();
  tell("warning", { reason: "idle" });
  assert.equal(await heard, "warning");
  leaving.abort(new Error("enough"));
  assert.equal((await ended).message, "enough");
  assert.equal((await line(1)).state, "ended");
});
