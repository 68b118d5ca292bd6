/**
 * Whether a stream that broke off is worth connecting again, how soon, and to which route. Pure.
 */

import { BrokerError } from "./broker-answers.js";
import { StreamError } from "./stream-error.js";

/** @typedef {import("./broker-answers.js").Route} Route */

/** Nobody is asked more often than that, however long it takes. */
const MOST_PAUSE_MS = 2000;
const FIRST_PAUSE_MS = 250;
/** What a broker says of a session that this viewer cannot have any more. */
const FINAL_STATUSES = [401, 403, 404, 410];
/** The application would answer the same again. */
const FINAL_CODES = ["protocol", "bad_message", "bad_offer", "closed"];

/**
 * @param {unknown} error  why there is no picture
 * @returns {boolean} whether another attempt may bring one
 */
export function mayComeBack(error) {
  if (error instanceof BrokerError) {
    return !FINAL_STATUSES.includes(error.status);
  }
  return error instanceof StreamError && error.mayReconnect && !FINAL_CODES.includes(error.code);
}

/**
 * @param {number} attempt  from 0: the first follows at once
 * @returns {number} a little of it is chance, so that all viewers of a relay do not come in step
 */
export function pauseMs(attempt, random = Math.random()) {
  return attempt === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), MOST_PAUSE_MS) * (0.75 + random / 2);
}

/**
 * @param {Route | null} one
 * @param {Route | null} other
 */
export function isSameRoute(one, other) {
  return (
    one?.host === other?.host && one?.signalingPort === other?.signalingPort && one?.mediaPort === other?.mediaPort
  );
}

/**
 * @param {Record<string, unknown>} data  of an event `route`
 * @returns {Route | null}
 */
export function routeOf({ host, signaling_port: signalingPort, media_port: mediaPort }) {
  if (typeof host !== "string" || !Number.isInteger(signalingPort) || !Number.isInteger(mediaPort)) {
    return null;
  }
  return { host, signalingPort: Number(signalingPort), mediaPort: Number(mediaPort) };
}
