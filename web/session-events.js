/**
 * What events mean for a session: where it stands after one, and what warns of its end. Pure.
 */

import { BrokerError, placeOf } from "./broker-answers.js";

/** @typedef {import("./broker-answers.js").Session} Session */
/** @typedef {import("./events-client.js").BrokerEvent} BrokerEvent */

/**
 * @typedef {object} Warning  a clock is about to end the session
 * @property {string} reason
 * @property {string} message
 * @property {number} leftMs  from when it was told
 * @property {string} endsAt
 * @property {boolean} extendable
 */

/**
 * @param {Session} session  as it was
 * @param {BrokerEvent} event
 * @returns {Session} as it is, as far as the event tells
 */
export function sessionAfter(session, { type, data }) {
  if (type === "state") {
    const phase = typeof data.phase === "string" ? data.phase : null;
    const message = String(data.message ?? "");
    return { ...session, phase, queue: phase === "queued" ? session.queue : null, status: { ...session.status, message } };
  }
  return type === "queue" ? { ...session, queue: placeOf(data) } : session;
}

/**
 * @param {BrokerEvent} event
 * @returns {boolean} whether it tells that the session is not pending any more
 */
export function settles({ type, data }) {
  return type === "route" || type === "ended" || (type === "state" && data.state !== "pending");
}

/**
 * @param {Record<string, unknown>} data  of a warning
 * @returns {Warning | null} null: it is taken back
 */
export function warningOf(data) {
  const leftMs = Date.parse(String(data.ends_at)) - Date.parse(String(data.at));
  if (typeof data.reason !== "string" || !Number.isFinite(leftMs)) {
    return null;
  }
  const message = String(data.message ?? "");
  return { reason: data.reason, message, leftMs, endsAt: String(data.ends_at), extendable: data.extendable === true };
}

/**
 * @param {Record<string, unknown>} data  of an end
 * @returns {BrokerError} as the broker answers whoever asks for the session then
 */
export function endOf(data) {
  const endReason = typeof data.end_reason === "string" ? data.end_reason : null;
  return new BrokerError(endReason === "deleted" ? 404 : 410, String(data.message ?? ""), { endReason });
}
