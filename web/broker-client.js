/**
 * Calls a broker: which applications there are, and sessions of them.
 */

import { isObject } from "./messages.js";

const WAIT_S = 20;
const MAX_RETRY_AFTER_S = 10;

/**
 * @typedef {{id: string, name: string, description: string, tags: string[]}} Application
 * @typedef {{id: string, name: string, description: string}} Profile
 * @typedef {{host: string, signalingPort: number, mediaPort: number}} Route  the relay's host and ports
 * @typedef {{condition: "pending" | "ready" | "failed", message: string}} Status
 * @typedef {{id: string, status: Status, route: Route | null, application: string}} Session
 * @typedef {{id: string, profile: string, version?: string, arguments?: Record<string, string>}} StartRequest
 * @typedef {object} WaitOptions
 * @property {AbortSignal} [signal]
 * @property {(session: Session) => void} [onProgress]  called with each answer while the session is prepared
 */

/**
 * The broker refused, or could not be reached (`status` 0).
 */
export class BrokerError extends Error {
  /**
   * @param {number} status  the HTTP status
   * @param {string} message  what the broker said
   * @param {string | null} [endReason]  why the session ended (410)
   */
  constructor(status, message, endReason = null) {
    super(message);
    this.name = "BrokerError";
    this.status = status;
    this.endReason = endReason;
  }
}

export class BrokerClient {
  #base;

  /** @param {string | URL} [base]  the broker's root; by default the page's own origin */
  constructor(base = globalThis.location?.origin ?? "http://127.0.0.1:8080") {
    this.#base = new URL(base);
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<Application[]>}
   */
  async applications(signal) {
    const { body } = await this.#call("GET", "/cfg/apps", { signal });
    return listOf(body).map((item) => ({
      id: String(item.id),
      name: String(item.name ?? item.id),
      description: String(item.description ?? ""),
      tags: Array.isArray(item.tags) ? item.tags.map(String) : [],
    }));
  }

  /**
   * @param {string} applicationId
   * @returns {Promise<string[]>} highest last, as the broker lists them
   */
  async versions(applicationId) {
    const { body } = await this.#call("GET", `/cfg/apps/${encodeURIComponent(applicationId)}/versions`);
    return listOf(body).map((item) => String(item.version));
  }

  /**
   * @param {string} applicationId
   * @param {string} version
   * @returns {Promise<Profile[]>}
   */
  async profiles(applicationId, version) {
    const path = `/cfg/apps/${encodeURIComponent(applicationId)}/versions/${encodeURIComponent(version)}/profiles`;
    const { body } = await this.#call("GET", path);
    return listOf(body).map((item) => ({
      id: String(item.id),
      name: String(item.name ?? item.id),
      description: String(item.description ?? ""),
    }));
  }

  /**
   * Start a session and wait until it is ready.
   *
   * @param {StartRequest} request
   * @param {WaitOptions} [options]
   * @returns {Promise<Session>}
   * @throws {BrokerError} also when the session ends before it is ready
   */
  async start(request, options = {}) {
    const answer = await this.#call("POST", "/stream", { body: request, signal: options.signal });
    return this.#whenReady(answer, options);
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
    return parseSession((await this.#call("GET", sessionPath(id), { signal })).body);
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
  async #whenReady(answer, { signal, onProgress }) {
    let session = parseSession(answer.body);
    while (answer.status === 202) {
      onProgress?.(session);
      const asked = performance.now();
      answer = await this.#call("GET", sessionPath(session.id), { signal, prefer: `wait=${WAIT_S}` });
      session = parseSession(answer.body);
      if (answer.status === 202 && performance.now() - asked < 1000) {
        await pause(answer.retryAfterS * 1000, signal); // this broker does not wait: ask as often as it likes
      }
    }
    if (session.status.condition === "failed") {
      throw new BrokerError(410, session.status.message);
    }
    return session;
  }

  /**
   * @typedef {{status: number, body: unknown, retryAfterS: number}} Answer
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
    if (prefer !== undefined) {
      headers.Prefer = prefer;
    }
    const content = body === undefined ? null : JSON.stringify(body);
    let response;
    try {
      response = await fetch(new URL(path, this.#base), { method, headers, body: content, signal: signal ?? null });
    } catch (error) {
      signal?.throwIfAborted();
      throw new BrokerError(0, `The broker at ${this.#base.origin} cannot be reached.`);
    }
    const text = await response.text();
    const parsed = parseJson(text);
    if (!response.ok) {
      throw refusal(response.status, parsed);
    }
    const retryAfterS = Math.min(MAX_RETRY_AFTER_S, Number(response.headers.get("Retry-After")) || 1);
    return { status: response.status, body: parsed, retryAfterS };
  }
}

/**
 * @param {unknown} body  a stream of any dialect: its routes flat or nested
 * @returns {Session}
 */
export function parseSession(body) {
  const value = isObject(body) ? body : {};
  const status = isObject(value.status) ? value.status : {};
  const condition = status.condition;
  return {
    id: String(value.id ?? ""),
    application: String(value.application ?? ""),
    status: {
      condition: condition === "ready" || condition === "failed" ? condition : "pending",
      message: String(status.message ?? ""),
    },
    route: parseRoutes(value.routes),
  };
}

/**
 * @param {unknown} routes  `{host: [port, …]}` or `{host: {routes: [port, …]}}`
 * @returns {Route | null} the first host with both ports
 */
export function parseRoutes(routes) {
  for (const [host, value] of Object.entries(isObject(routes) ? routes : {})) {
    const ports = Array.isArray(value) ? value : isObject(value) && Array.isArray(value.routes) ? value.routes : [];
    const signaling = ports.find((port) => isObject(port) && port.description === "signaling");
    const media = ports.find((port) => isObject(port) && port.description === "media");
    if (signaling !== undefined && media !== undefined) {
      return { host, signalingPort: Number(signaling.source_port), mediaPort: Number(media.source_port) };
    }
  }
  return null;
}

/** @param {string} id */
function sessionPath(id) {
  return `/stream/${encodeURIComponent(id)}`;
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {number} status
 * @param {unknown} body
 */
function refusal(status, body) {
  const detail = isObject(body) ? body.detail : undefined;
  const endReason = isObject(body) && typeof body.end_reason === "string" ? body.end_reason : null;
  if (Array.isArray(detail)) {
    const lines = detail.filter(isObject).map((item) => `${[item.loc].flat().slice(1).join(".")}: ${String(item.msg)}`);
    return new BrokerError(status, lines.join("; "), endReason);
  }
  const text = typeof detail === "string" ? detail : `The broker answered ${status}.`;
  return new BrokerError(status, text, endReason);
}

/**
 * @param {unknown} body
 * @returns {Record<string, unknown>[]}
 */
function listOf(body) {
  const items = Array.isArray(body) ? body : isObject(body) && Array.isArray(body.items) ? body.items : [];
  return items.filter(isObject);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
