/**
 * What the viewer page says: how far a session is, why there is no picture, and what to do. Pure.
 */

import { BrokerError } from "./broker-answers.js";
import { StreamError } from "./stream-error.js";

/** The way to a picture. */
export const STEPS = ["Find a place", "Start it", "Open the way", "Bring the picture"];
/** The step that the page itself does: connecting. */
export const CONNECTING = STEPS.length - 1;
// Maps, not objects: what is looked up in them comes from others, who may say "constructor".
const STEP_OF_PHASE = new Map(Object.entries({ queued: 0, placing: 0, starting: 1, routing: 2 }));

/**
 * @typedef {object} Ending
 * @property {string} heading
 * @property {string} text  why
 * @property {string} advice  what to do
 * @property {boolean} over  whether the session is gone, or never came to be
 */

const ADVICE_OF_REASON = new Map(Object.entries({
  never_connected: "Start it again when you are ready to watch.",
  disconnected: "Start it again; next time, come back a little sooner.",
  idle: "Start it again to go on.",
  max_length: "Start it again to go on.",
  start_timeout: "Try again. If that does not help, whoever runs this server finds more in its log.",
  backend_failed: "Start it again. If it fails again, whoever runs this server finds more in its log.",
  node_lost: "Start it again: another machine takes over.",
  relay_lost: "Start it again: another relay takes over.",
  route_failed: "Try again. If that does not help, whoever runs this server finds more in its log.",
  queue_timeout: "Try again in a while.",
  max_stopped: "Start it again to go on.",
  no_capacity: "Try again in a while.",
}));

/** @type {Record<number, [heading: string, advice: string]>} */
const WORDS_OF_STATUS = {
  401: ["You are not let in", "Sign in, or open the link that you were given once more. If it has expired, ask for another."],
  0: ["The broker cannot be reached", "See whether it runs and whether you are online, then try again."],
  403: ["You may not do this", "Ask whoever runs this server."],
  404: ["It is not there", "Choose one of the applications in the list."],
  422: ["The request does not fit", "Correct what is named above, then try again."],
  429: ["Every place is taken", "Try again in a while, or end a session of your own."],
  503: ["Not for the moment", "Nothing is lost. Try again in a moment."],
};

/** @type {Map<string, [heading: string, advice: string]>} */
const WORDS_OF_STREAM = new Map(Object.entries({
  insecure: ["This page cannot connect", "Load the page by http, or have TLS set up for the relay."],
  unreachable: ["The stream cannot be reached", "The session goes on for a while. Try to reconnect."],
  no_answer: ["The application does not answer", "Try to reconnect. If that does not help, end the session and start it again."],
  no_media: ["No picture gets through", "When the way is open, reconnect. The session goes on for a while."],
  lost: ["The connection was lost", "The application still runs for a while. Reconnect to go on where you were."],
  draining: ["The relay is being restarted", "The application still runs. Reconnect to go on where you were."],
  token: ["You are not let in", "Open the link that you were given once more, or ask for another."],
  left: ["You left the stream", "Close this page, or open its link once more to come back."],
  ended: ["The session has ended", "Start it again to go on."],
  refused: ["You were not let in", "Close the page that is connected already, then reconnect."],
  busy: ["Too many are watching", "Close the page that is connected already, then reconnect."],
}));

const FINAL_CODES = ["ended", "token", "left"];

/**
 * @param {string | null} phase  of a pending session
 * @returns {number} which of STEPS it is at
 */
export function stepOf(phase) {
  return STEP_OF_PHASE.get(phase ?? "") ?? 0;
}

/**
 * @param {import("./broker-answers.js").Session} session  a pending one
 * @returns {string} what it waits for
 */
export function progressText({ queue, status }) {
  if (queue === null) {
    return status.message;
  }
  const before = queue.position - 1;
  const place = before === 0 ? "You are next" : `${before} ${before === 1 ? "is" : "are"} before you`;
  return queue.etaS === null ? `Every place is taken. ${place}.` : `Every place is taken. ${place}, it takes about ${inWords(queue.etaS)}.`;
}

const WARNING_OF_REASON = new Map(Object.entries({
  idle: "Are you still there? Without input the session ends in",
  max_length: "The session reaches its longest time in",
  relay_lost: "The relay is gone. If it does not come back, the session ends in",
}));

/**
 * @param {string} reason  which clock is about to end the session
 * @param {number} leftMs
 */
export function warningText(reason, leftMs) {
  return `${WARNING_OF_REASON.get(reason) ?? "The session ends in"} ${inWords(Math.max(0, leftMs) / 1000)}.`;
}

/** @param {number} seconds */
function inWords(seconds) {
  const whole = Math.ceil(seconds);
  return whole < 100 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}

/**
 * @param {unknown} error  why there is no picture, or none any more
 * @param {{started: boolean}} session  whether there was one
 * @returns {Ending}
 */
export function endingOf(error, { started }) {
  if (error instanceof BrokerError) {
    return endingOfBroker(error, started);
  }
  const text = error instanceof Error ? error.message : String(error);
  const [heading, advice] =
    (error instanceof StreamError ? WORDS_OF_STREAM.get(error.code) : undefined) ??
    ["The stream stopped", "Try to reconnect. If that does not help, end the session and start it again."];
  return { heading, text, advice, over: !started || (error instanceof StreamError && FINAL_CODES.includes(error.code)) };
}

/**
 * @param {BrokerError} error
 * @param {boolean} started
 * @returns {Ending}
 */
function endingOfBroker(error, started) {
  const { status, message: text } = error;
  if (status === 410) {
    const advice = ADVICE_OF_REASON.get(error.endReason ?? "") ?? "Start it again to go on.";
    return { heading: "The session has ended", text, advice, over: true };
  }
  if (status === 404 && started) {
    return { heading: "The session has ended", text: "It was ended, here or by someone else.", advice: "Start it again to go on.", over: true };
  }
  const [heading, advice] = WORDS_OF_STATUS[status] ?? [
    "The broker is at fault",
    "Try again. If that does not help, whoever runs this server finds more in its log.",
  ];
  return { heading, text, advice, over: !started || status === 422 || status === 401 };
}
