/**
 * Calls a broker: which applications there are, and sessions of them.
 */

import { followEvents } from "./events-client.js";
import { sessionAfter, settles } from "./session-events.js";
import { BrokerError, applicationOf, listOf, parseJson, parseSession, profileOf, refusal, sessionOf } from "./broker-answers.js";

export { BrokerError };

const WAIT_S = 20;
/** Where somebody looks on, each phase is to be seen: answers come this often at least. */
const WATCHED_WAIT_S = 1;
/** Where it takes long after all, it is asked for less often. */
const MANY_POLLS = 60;
const LONG_WAIT_S = 10;
const MAX_RETRY_AFTER_S = 10;
/** An answer that came sooner says that the broker does not wait: then `Retry-After` counts. */
const PROMPT_MS = 500;
/** No answer, or that of a proxy or store which is away: asked again so often before it counts. */
const PASSING_STATUSES = [0, 502, 503, 504];
const MAX_ATTEMPTS = 5;

/**
 * @typedef {import("./broker-answers.js").Application} Application
 * @typedef {import("./broker-answers.js").Profile} Profile
 * @typedef {import("./broker-answers.js").Session} Session
 * @typedef {import("./broker-answers.js").Answer} Answer
 * @typedef {{id: string, profile: string, version?: string, arguments?: Record<string, string>}} StartRequest
 * @typedef {object} WaitOptions
 * @property {AbortSignal} [signal]
 * @property {(session: Session) => void} [onProgress]  called with each answer while the session is prepared
 * @property {boolean} [events]  follow the session's events while it is prepared, and ask for it only where there are none
 */

export class BrokerClient {
  #base;
  /**
   * Says who asks, in every request: an API key, a token of the identity provider, or a session's admission token.
   *
   * @type {string | null}
   */
  accessToken;

  /**
   * @param {string | URL} [base]  the broker's root, with the path before `/stream`; by default the page's own origin
   * @param {{accessToken?: string | null}} [options]
   */
  constructor(base = globalThis.location?.origin ?? "http://127.0.0.1:8080", { accessToken = null } = {}) {
    this.accessToken = accessToken;
    const url = new URL(base);
    this.#base = url.origin + url.pathname.replace(/\/+$/, "");
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<Application[]>}
   */
  async applications(signal) {
    const { body } = await this.#call("GET", "/cfg/apps", { signal });
    return listOf(body).map(applicationOf);
  }

  /**
   * @param {string} applicationId
   * @param {AbortSignal} [signal]
   * @returns {Promise<string[]>} in the broker's order
   */
  async versions(applicationId, signal) {
    const { body } = await this.#call("GET", `/cfg/apps/${encodeURIComponent(applicationId)}/versions`, { signal });
    return listOf(body).map((item) => String(item.version));
  }

  /**
   * @param {string} applicationId
   * @param {string} version
   * @param {AbortSignal} [signal]
   * @returns {Promise<Profile[]>}
   */
  async profiles(applicationId, version, signal) {
    const path = `/cfg/apps/${encodeURIComponent(applicationId)}/versions/${encodeURIComponent(version)}/profiles`;
    const { body } = await this.#call("GET", path, { signal });
    return listOf(body).map(profileOf);
  }

  /**
   * Start a session and wait until it is ready. Aborting it ends the session, even one that is still being asked for.
   *
   * @param {StartRequest} request
   * @param {WaitOptions} [options]
   * @returns {Promise<Session>}
   * @throws {BrokerError} also when the session ends before it is ready
   */
  async start(request, options = {}) {
    options.signal?.throwIfAborted();
    // The request itself is never cut off: its answer may be a session, and who would end that?
    const posted = this.#call("POST", "/stream", { body: request });
    try {
      return await this.#whenReady(await unlessAborted(posted, options.signal), options);
    } catch (error) {
      if (options.signal?.aborted) {
        posted.then((answer) => this.end(sessionOf(answer).id)).catch(() => {}); // its clocks end it as well
      }
      throw error;
    }
  }

  /**
   * A session that is there already, once it is ready.
   *
   * @param {string} id
   * @param {WaitOptions} [options]
   * @returns {Promise<Session>}
   */
  async ready(id, options = {}) {
    return this.#whenReady(await this.#call("GET", sessionPath(id), { signal: options.signal }), options);
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Session>}
   */
  async get(id, signal) {
    return sessionOf(await this.#call("GET", sessionPath(id), { signal }));
  }

  /** @returns {Promise<Session[]>} */
  async list() {
    return listOf((await this.#call("GET", "/stream")).body).map(parseSession);
  }

  /**
   * End a session; one that is gone already is as well.
   *
   * @param {string} id
   */
  async end(id) {
    try {
      await this.#call("DELETE", sessionPath(id));
    } catch (error) {
      if (!(error instanceof BrokerError) || (error.status !== 404 && error.status !== 410)) {
        throw error;
      }
    }
  }

  /**
   * @param {Answer} answer
   * @param {WaitOptions} options
   * @returns {Promise<Session>}
   */
  async #whenReady(answer, { signal, onProgress, events = false }) {
    let session = sessionOf(answer);
    for (let polls = 0; answer.status === 202 && session.status.condition !== "failed"; polls++) {
      onProgress?.(session);
      if (events && polls === 0) {
        await this.#followed(session, { signal, onProgress });
      }
      const wait = onProgress === undefined ? WAIT_S : polls < MANY_POLLS ? WATCHED_WAIT_S : LONG_WAIT_S;
      const asked = performance.now();
      answer = await this.#ask(session.id, { signal, prefer: `wait=${wait}` });
      session = sessionOf(answer);
      if (answer.status === 202 && performance.now() - asked < PROMPT_MS) {
        await pause(answer.retryAfterS * 1000, signal);
      }
    }
    if (session.status.condition === "failed") {
      throw new BrokerError(410, session.status.message);
    }
    return session;
  }

  /**
   * What happens to a session until its end.
   *
   * @param {string} sessionId
   * @param {AbortSignal} [signal]
   */
  events(sessionId, signal) {
    return followEvents(this.#base, {
      sessionId,
      ...(signal === undefined ? {} : { signal }),
      ...(this.accessToken === null ? {} : { token: this.accessToken }),
    });
  }

  /**
   * Put off a session's end by a step of its profile's.
   *
   * @param {string} id
   */
  async extend(id) {
    return sessionOf(await this.#call("POST", `${sessionPath(id)}/extend`, { body: {} }));
  }

  /**
   * Until events tell that the session is not pending any more, or tell nothing.
   *
   * @param {Session} session
   * @param {WaitOptions} options
   */
  async #followed(session, { signal, onProgress }) {
    try {
      for await (const event of this.events(session.id, signal)) {
        if (settles(event)) {
          return;
        }
        session = sessionAfter(session, event);
        onProgress?.(session);
      }
    } catch {
      signal?.throwIfAborted(); // otherwise it is asked for
    }
  }

  /**
   * @param {string} id
   * @param {{signal?: AbortSignal | undefined, prefer: string}} options
   * @returns {Promise<Answer>}
   */
  async #ask(id, options) {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#call("GET", sessionPath(id), options);
      } catch (error) {
        if (!(error instanceof BrokerError) || !PASSING_STATUSES.includes(error.status) || attempt === MAX_ATTEMPTS) {
          throw error;
        }
        await pause(Math.min(MAX_RETRY_AFTER_S, error.retryAfterS ?? attempt) * 1000, options.signal);
      }
    }
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{body?: unknown, signal?: AbortSignal | undefined, prefer?: string}} [options]
   * @returns {Promise<Answer>}
   */
  async #call(method, path, { body, signal, prefer } = {}) {
    /** @type {Record<string, string>} */
    const headers = { Accept: "application/json" };
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
    }
    if (this.accessToken !== null) {
      headers.Authorization = `Bearer ${this.accessToken}`;
    }
    if (prefer !== undefined) {
      headers.Prefer = prefer;
    }
    const content = body === undefined ? null : JSON.stringify(body);
    let response, text;
    try {
      response = await fetch(this.#base + path, { method, headers, body: content, signal: signal ?? null });
      text = await response.text();
    } catch {
      signal?.throwIfAborted();
      throw new BrokerError(0, `The broker at ${this.#base} cannot be reached.`);
    }
    const retryAfterS = Number(response.headers.get("Retry-After")) || null;
    if (response.status === 401 && this.accessToken === null) {
      throw new BrokerError(401, "This server wants to know who you are.");
    }
    if (!response.ok) {
      throw refusal(response.status, parseJson(text), retryAfterS);
    }
    return {
      status: response.status,
      body: parseJson(text),
      retryAfterS: Math.min(MAX_RETRY_AFTER_S, retryAfterS ?? 1),
    };
  }
}

/** @param {string} id */
function sessionPath(id) {
  return `/stream/${encodeURIComponent(id)}`;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} signal
 */
async function pause(milliseconds, signal) {
  let timer;
  try {
    await unlessAborted(new Promise((resolve) => (timer = setTimeout(resolve, milliseconds))), signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>} rejects as soon as `signal` aborts
 */
function unlessAborted(promise, signal) {
  if (signal === undefined) {
    return promise;
  }
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    if (signal.aborted) {
      abort();
    }
  });
}
