/**
 * Follows a broker's events by `fetch` (EventSource cannot carry Authorization): resumed where it broke off, with pauses
 * that grow, until the session has ended, the signal aborts, or the broker has no events to give.
 */

import { BrokerError, parseJson, refusal } from "./broker-answers.js";
import { isObject } from "./messages.js";

/** A comment comes every ten seconds: what is silent for so long is gone. */
const SILENT_MS = 35_000;
const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 15_000;
const MOST_FAILURES = 4;
/** The broker's retries that mean "never" are of no use to who decides by itself. */
const MOST_RETRY_MS = 60_000;
const MOST_LINE = 256 * 1024;
const PASSING_STATUSES = [408, 425, 429, 500, 502, 503, 504];

/**
 * @typedef {object} BrokerEvent
 * @property {string} type  state, queue, route, viewer, warning, ended, reset or closing
 * @property {Record<string, unknown>} data
 * @property {string | null} id
 *
 * @typedef {object} FollowOptions
 * @property {string} [sessionId]  of one session, until its end; without it: of all that the caller may see
 * @property {string} [token]  a bearer token or key
 * @property {string} [after]  the id of the last event that is known already
 * @property {AbortSignal} [signal]
 * @property {number} [mostFailures]  attempts in a row without any event before it is given up
 * @property {(connected: boolean) => void} [onConnection]
 */

/** There are no events to be had: the broker is asked from time to time instead. */
export class EventsUnavailable extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super("The broker tells no events.", { cause });
    this.name = "EventsUnavailable";
  }
}

/** Reads server-sent events out of text that comes in pieces. */
export class EventParser {
  #rest = "";
  /** @type {Map<string, string>} */
  #fields = new Map();
  retryMs = 0;

  /**
   * @param {string} text
   * @returns {BrokerEvent[]} those that are complete by now
   * @throws {EventsUnavailable} for a line without end
   */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MOST_LINE) {
      throw new EventsUnavailable("a line of the stream does not end");
    }
    return lines.flatMap((line) => this.#line(line));
  }

  /**
   * @param {string} line
   * @returns {BrokerEvent[]}
   */
  #line(line) {
    if (line !== "") {
      const colon = line.indexOf(":");
      if (colon !== 0) {
        const name = colon < 0 ? line : line.slice(0, colon);
        this.#fields.set(name, colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, ""));
      }
      return [];
    }
    const fields = this.#fields;
    this.#fields = new Map();
    const retry = fields.get("retry") ?? "";
    if (/^\d+$/.test(retry)) {
      this.retryMs = Math.min(Number(retry), MOST_RETRY_MS);
    }
    const data = parseJson(fields.get("data") ?? "");
    return isObject(data) ? [{ type: fields.get("event") ?? "message", data, id: fields.get("id") ?? null }] : [];
  }
}

/**
 * @param {string | URL} base  the broker's root, with the path before `/stream`
 * @param {FollowOptions} [options]
 * @returns {AsyncGenerator<BrokerEvent, void, void>}
 * @throws {BrokerError} when the broker refuses; EventsUnavailable; what the signal was aborted with
 */
export async function* followEvents(base, options = {}) {
  const { sessionId, signal, onConnection, mostFailures = MOST_FAILURES } = options;
  const path = sessionId === undefined ? "/events" : `/stream/${encodeURIComponent(sessionId)}/events`;
  const url = String(base).replace(/\/+$/, "") + path;
  let last = options.after;
  for (let failures = 0; ; ) {
    const parser = new EventParser();
    let cause;
    try {
      for await (const event of eventsOf(url, parser, { ...options, after: last })) {
        failures = 0;
        last = event.id ?? last;
        onConnection?.(true);
        yield event;
        if (event.type === "ended" && sessionId !== undefined) {
          return;
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      cause = error;
      if (error instanceof BrokerError && error.status !== 0 && !PASSING_STATUSES.includes(error.status)) {
        throw error;
      }
    }
    onConnection?.(false);
    if (++failures > mostFailures || cause instanceof EventsUnavailable) {
      throw cause instanceof EventsUnavailable ? cause : new EventsUnavailable(cause);
    }
    await pause(pauseMs(failures, parser.retryMs, cause), signal);
  }
}

/**
 * @param {string} url
 * @param {EventParser} parser
 * @param {FollowOptions} options
 * @returns {AsyncGenerator<BrokerEvent, void, void>} of one connection
 */
async function* eventsOf(url, parser, { token, after, signal }) {
  const silence = new AbortController();
  const either = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENT_MS);
  /** @type {ReadableStreamDefaultReader<string> | undefined} */
  let reader;
  try {
    const response = await fetch(url, { headers: headersOf(token, after), signal: either, cache: "no-store" });
    if (!response.ok) {
      const retryAfterS = Number(response.headers.get("Retry-After")) || null;
      throw refusal(response.status, parseJson(await response.text()), retryAfterS);
    }
    if (response.body === null || !(response.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
      throw new EventsUnavailable("something else than events came");
    }
    reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
      yield* parser.push(value ?? "");
    }
  } finally {
    clearTimeout(timer);
    silence.abort(); // whoever stops to listen needs no stream any more
    reader?.cancel().catch(() => {});
  }
}

/**
 * @param {string | undefined} token
 * @param {string | undefined} after
 */
function headersOf(token, after) {
  return {
    Accept: "text/event-stream",
    ...(token ? { Authorization: `Bearer ${token}` } : {}),
    ...(after === undefined ? {} : { "Last-Event-ID": after }),
  };
}

/**
 * @param {number} failures
 * @param {number} retryMs  as the stream said
 * @param {unknown} cause
 */
function pauseMs(failures, retryMs, cause) {
  const asked = cause instanceof BrokerError ? (cause.retryAfterS ?? 0) * 1000 : retryMs;
  const growing = Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), MOST_PAUSE_MS);
  return Math.max(Math.min(asked, MOST_RETRY_MS), growing) * (0.75 + Math.random() / 2);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal | undefined} signal
 */
async function pause(milliseconds, signal) {
  signal?.throwIfAborted();
  /** @type {() => void} */
  let stop = () => {};
  let timer;
  try {
    await new Promise((resolve, reject) => {
      timer = setTimeout(resolve, milliseconds);
      stop = () => reject(signal?.reason);
      signal?.addEventListener("abort", stop, { once: true });
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
