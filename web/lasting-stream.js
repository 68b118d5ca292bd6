/**
 * A stream that outlives its relay: when the way to the session is lost or moves, it connects again by itself.
 *
 *     import { LastingStream } from "./lasting-stream.js";
 *     const session = await broker.start({ id: "usd-viewer", profile: "default" });
 *     const stream = new LastingStream({ broker, session, videoElement });
 *     await stream.ready;
 */

import { BrokerError } from "./broker-answers.js";
import { endOf } from "./session-events.js";
import { StreamConnection } from "./stream-client.js";
import { StreamError } from "./stream-error.js";
import { showNoStill } from "./still.js";
import { isSameRoute, mayComeBack, pauseMs, routeOf } from "./reconnection.js";

/**
 * @typedef {import("./broker-answers.js").Session} Session
 * @typedef {import("./broker-answers.js").Route} Route
 * @typedef {import("./connect-options.js").ConnectOptions} ConnectOptions
 * @typedef {import("./messages.js").InputEvent} InputEvent
 * @typedef {import("./stream-stats.js").StreamStats} StreamStats
 * @typedef {"connecting" | "connected" | "interrupted" | "reconnecting" | "ended"} LastingState
 *
 * @typedef {object} LastingOptions
 * @property {Pick<import("./broker-client.js").BrokerClient, "ready" | "events">} broker  tells where the session is now
 * @property {Session} session  a ready one
 * @property {number} [giveUpAfterMs]  without a picture; the broker says before that when the session has ended
 * @property {(options: ConnectOptions) => StreamConnection} [open]
 *
 * @typedef {LastingOptions & Omit<ConnectOptions, "sessionId" | "host" | "signalingPort" | "mediaPort">} Options
 */

const GIVE_UP_AFTER_MS = 180_000;
/** An attempt on a way that may be gone: nothing may answer there at all. */
const ATTEMPT_MS = 5000;
const EVENTS_AGAIN_MS = 10_000;
const TOLD_ON = ["firstframe", "message", "token", "notice"];

/**
 * Events: those of a `StreamConnection`, of one after the other; `connection` (detail: the one that is used from now
 * on); `session` (detail: each event that the broker tells of the session). `error` and `end` come once, at the end of all.
 */
export class LastingStream extends EventTarget {
  /** @type {Promise<void>} */
  ready;
  /** @type {LastingState} */
  state = "connecting";
  /** Why the last connection ended, while there is none. @type {unknown} */
  reason = null;

  #options;
  #broker;
  #session;
  /** @type {StreamConnection | null} */
  #connection = null;
  #lifetime = new AbortController();
  /** Aborted when the session's route is another than the one that is used or tried. */
  #moved = new AbortController();
  /** @type {string | null} */
  #token;
  /** @type {(value: void) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};

  /** @param {Options} options */
  constructor(options) {
    super();
    options.signal?.throwIfAborted();
    this.#options = options;
    this.#broker = options.broker;
    this.#session = options.session;
    this.#token = options.session.token ?? options.token ?? null;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {}); // told by the `end` event as well
    options.signal?.addEventListener("abort", () => this.#end(options.signal?.reason), { signal: this.#lifetime.signal });
    this.#live().catch((error) => this.#end(error));
    this.#follow().catch(() => {}); // without events, it is asked for where it is
  }

  /** What arrives, through whichever relay. */
  get stream() {
    return this.#connection?.stream ?? new MediaStream();
  }

  get role() {
    return this.#connection?.role ?? "controller";
  }

  /** Admits to the session; a renewed one takes its place. */
  get token() {
    return this.#connection?.token ?? this.#token;
  }

  /**
   * As of a `StreamConnection`; what is sent while there is none is lost.
   *
   * @param {string} eventType
   * @param {Record<string, unknown>} [payload]
   * @returns {boolean}
   */
  sendMessage(eventType, payload = {}) {
    return this.#connection?.sendMessage(eventType, payload) ?? false;
  }

  /** @param {InputEvent} event */
  sendInput(event) {
    this.#connection?.sendInput(event);
  }

  /** @returns {Promise<StreamStats | null>} null while there is no connection */
  async stats() {
    return this.state === "reconnecting" || this.#connection === null ? null : this.#connection.stats();
  }

  /** Leave. The session goes on; end it by the broker. */
  close() {
    this.#connection?.close();
    this.#end(new StreamError("closed", "You left the stream."));
  }

  /** One connection after the other, until one cannot be made good. */
  async #live() {
    let { connection, ended } = this.#open(this.#options);
    await connection.ready;
    this.#resolve();
    for (;;) {
      this.reason = await ended;
      ({ connection, ended } = await this.#again());
    }
  }

  /** A connection in the place of one that ended. */
  async #again() {
    const { signal } = this.#lifetime;
    const { giveUpAfterMs = GIVE_UP_AFTER_MS, timeoutMs = ATTEMPT_MS } = this.#options;
    for (let begun = performance.now(), attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      if (!mayComeBack(this.reason) || performance.now() - begun > giveUpAfterMs) {
        throw this.reason;
      }
      this.#enter("reconnecting");
      await pause(pauseMs(attempt), [signal, this.#moved.signal]);
      this.#moved = new AbortController();
      try {
        const session = await this.#broker.ready(this.#session.id, { signal });
        this.#session = session.route === null ? this.#session : session;
        const opened = this.#open({ ...this.#options, timeoutMs: Math.min(timeoutMs, ATTEMPT_MS) });
        await opened.connection.ready;
        return opened;
      } catch (error) {
        this.reason = error;
      }
    }
  }

  /** @param {Options} options */
  #open({ broker: _broker, session: _session, giveUpAfterMs: _late, open = connectionOf, ...options }) {
    const { id, route, token } = this.#session;
    if (route === null) {
      throw new StreamError("lost", "The broker gave no route to the session.");
    }
    const connection = open({
      ...options,
      sessionId: id,
      ...route,
      token: token ?? this.token,
      keepPicture: true,
      signal: AbortSignal.any([this.#lifetime.signal, this.#moved.signal]),
    });
    /** @type {Promise<unknown>} */
    const ended = new Promise((resolve) => {
      connection.addEventListener("end", (event) => resolve(/** @type {CustomEvent} */ (event).detail));
    });
    this.#adopt(connection);
    return { connection, ended };
  }

  /** @param {StreamConnection} connection */
  #adopt(connection) {
    this.#connection = connection;
    for (const name of TOLD_ON) {
      connection.addEventListener(name, (event) => {
        this.dispatchEvent(new CustomEvent(name, { detail: /** @type {CustomEvent} */ (event).detail }));
      });
    }
    connection.addEventListener("firstframe", () => this.#showNoStill());
    connection.addEventListener("token", () => (this.#token = connection.token));
    connection.addEventListener("statechange", () => {
      if (connection === this.#connection && (connection.state === "connected" || connection.state === "interrupted")) {
        this.#enter(connection.state);
      }
    });
    this.dispatchEvent(new CustomEvent("connection", { detail: connection }));
  }

  #showNoStill() {
    if (this.#options.videoElement !== undefined) {
      showNoStill(this.#options.videoElement);
    }
  }

  /** Hear of the session for as long as this lasts, and where it moves. */
  async #follow() {
    const { signal } = this.#lifetime;
    for (; ; await pause(EVENTS_AGAIN_MS, [signal])) {
      signal.throwIfAborted();
      try {
        for await (const event of this.#broker.events(this.#session.id, signal)) {
          this.#hear(event);
        }
      } catch (error) {
        if (error instanceof BrokerError && !mayComeBack(error)) {
          return; // this viewer is told nothing
        }
      }
    }
  }

  /** @param {import("./events-client.js").BrokerEvent} event */
  #hear(event) {
    this.dispatchEvent(new CustomEvent("session", { detail: event }));
    if (event.type === "ended") {
      this.#end(endOf(event.data));
      return;
    }
    const route = event.type === "route" ? routeOf(event.data) : null;
    if (route !== null && !isSameRoute(route, this.#session.route)) {
      this.#moved.abort(new StreamError("lost", "The session is on another relay now."));
    }
  }

  /** @param {LastingState} state */
  #enter(state) {
    if (this.state !== state && this.state !== "ended") {
      this.state = state;
      this.dispatchEvent(new Event("statechange"));
    }
  }

  /** @param {unknown} reason */
  #end(reason) {
    if (this.state === "ended") {
      return;
    }
    this.#lifetime.abort(reason);
    this.#showNoStill();
    this.#enter("ended");
    this.#reject(reason);
    if (reason instanceof Error && !(reason instanceof StreamError && reason.code === "closed")) {
      this.dispatchEvent(new CustomEvent("error", { detail: reason }));
    }
    this.dispatchEvent(new CustomEvent("end", { detail: reason }));
  }
}

/** @param {ConnectOptions} options */
function connectionOf(options) {
  return new StreamConnection(options);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal[]} signals  any of them ends it early
 */
async function pause(milliseconds, signals) {
  const either = AbortSignal.any(signals);
  if (milliseconds <= 0 || either.aborted) {
    return;
  }
  await new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    either.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      either.removeEventListener("abort", done);
      resolve(null);
    }
  });
}
