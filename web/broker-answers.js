/**
 * What a broker's answers mean: applications, sessions in every dialect, refusals. Pure.
 */

import { isToken } from "./admission-token.js";
import { isObject } from "./messages.js";

/**
 * @typedef {{id: string, name: string, description: string, tags: string[]}} Application
 * @typedef {{id: string, name: string, description: string}} Profile
 * @typedef {{host: string, signalingPort: number, mediaPort: number}} Route  the relay's host and ports
 * @typedef {{condition: "pending" | "ready" | "failed", message: string}} Status
 * @typedef {object} Session
 * @property {string} id
 * @property {string} application
 * @property {Status} status
 * @property {string | null} phase  what a pending session waits for: queued, placing, starting, routing
 * @property {{position: number, etaS: number | null} | null} queue  where it stands (1: it is next), if it does
 * @property {Route | null} route  once it is ready
 * @property {string | null} token  admits to the stream, where it asks for one
 * @typedef {{status: number, body: unknown, retryAfterS: number}} Answer
 */

/**
 * The broker refused, or could not be reached (`status` 0).
 */
export class BrokerError extends Error {
  /**
   * @param {number} status  the HTTP status
   * @param {string} message  what the broker said
   * @param {{endReason?: string | null, retryAfterS?: number | null}} [more]  why the session ended (410); when it is
   *   worth asking again (429, 503)
   */
  constructor(status, message, { endReason = null, retryAfterS = null } = {}) {
    super(message);
    this.name = "BrokerError";
    this.status = status;
    this.endReason = endReason;
    this.retryAfterS = retryAfterS;
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
    phase: typeof value.phase === "string" ? value.phase : null,
    queue: placeOf(value.queue),
    status: {
      condition: condition === "ready" || condition === "failed" ? condition : "pending",
      message: String(status.message ?? ""),
    },
    route: parseRoutes(value.routes),
    token: isToken(value.token) ? value.token : null,
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
    if (isPort(signaling?.source_port) && isPort(media?.source_port)) {
      return { host, signalingPort: signaling.source_port, mediaPort: media.source_port };
    }
  }
  return null;
}

/**
 * @param {unknown} value  of an event or an answer
 * @returns {{position: number, etaS: number | null} | null}
 */
export function placeOf(value) {
  if (!isObject(value) || !Number.isInteger(value.position)) {
    return null;
  }
  return { position: Number(value.position), etaS: typeof value.eta_s === "number" ? value.eta_s : null };
}

/** @param {unknown} value */
function isPort(value) {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
}

/**
 * @param {Answer} answer
 * @returns {Session}
 * @throws {BrokerError} for an answer that is no session: something else than a broker stands there
 */
export function sessionOf(answer) {
  const session = parseSession(answer.body);
  if (session.id === "") {
    throw new BrokerError(answer.status, "The answer is not that of a broker: it names no session.");
  }
  return session;
}

/** @param {string} text */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * @param {number} status
 * @param {unknown} body
 * @param {number | null} retryAfterS
 */
export function refusal(status, body, retryAfterS) {
  const { detail, end_reason } = isObject(body) ? body : { detail: undefined, end_reason: undefined };
  const more = { endReason: typeof end_reason === "string" ? end_reason : null, retryAfterS };
  if (Array.isArray(detail)) {
    const lines = detail.filter(isObject).map((item) => `${[item.loc].flat().slice(1).join(".")}: ${String(item.msg)}`);
    return new BrokerError(status, lines.join("; "), more);
  }
  return new BrokerError(status, typeof detail === "string" ? detail : `The broker answered ${status}.`, more);
}

/**
 * @param {unknown} body
 * @returns {Record<string, unknown>[]}
 */
export function listOf(body) {
  const items = Array.isArray(body) ? body : isObject(body) && Array.isArray(body.items) ? body.items : [];
  return items.filter(isObject);
}

/**
 * @param {Record<string, unknown>} item
 * @returns {Application}
 */
export function applicationOf(item) {
  return { ...profileOf(item), tags: Array.isArray(item.tags) ? item.tags.map(String) : [] };
}

/**
 * @param {Record<string, unknown>} item
 * @returns {Profile}
 */
export function profileOf(item) {
  return { id: String(item.id), name: String(item.name ?? item.id), description: String(item.description ?? "") };
}
