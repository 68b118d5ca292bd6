/**
 * What travels on the data channels (docs/protocol.md §2): input events out, application messages both ways. Pure.
 */

export const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_NOTICE_LENGTH = 1000;

/**
 * @typedef {{shiftKey: boolean, ctrlKey: boolean, altKey: boolean, metaKey: boolean}} ModifierState
 * @typedef {{x: number, y: number}} Place  0 to 1 across the picture, from its top left corner
 * @typedef {{eventType: string, payload: Record<string, unknown>}} ApplicationMessage
 * @typedef {{level: "info" | "warning" | "error", message: string}} Notice
 * @typedef {{event: string, [field: string]: unknown}} InputEvent  without its sequence number
 */

/**
 * @param {ModifierState} event
 * @returns {number} 1 shift, 2 control, 4 alt, 8 meta
 */
export function modifiersOf(event) {
  return (event.shiftKey ? 1 : 0) | (event.ctrlKey ? 2 : 0) | (event.altKey ? 4 : 0) | (event.metaKey ? 8 : 0);
}

/**
 * Turns input events into messages, and counts them over both channels.
 */
export class InputEncoder {
  #seq = 0;

  /**
   * @param {InputEvent} event
   * @returns {string} the message's text
   */
  encode(event) {
    return JSON.stringify({ type: "input", ...event, seq: this.#seq++ });
  }
}

/**
 * @param {string} eventType
 * @param {Record<string, unknown>} payload
 * @returns {string} the message's text
 * @throws {RangeError} when it is too long to be taken
 */
export function encodeMessage(eventType, payload) {
  const text = JSON.stringify({ event_type: eventType, payload });
  const size = new TextEncoder().encode(text).length;
  if (size > MAX_MESSAGE_BYTES) {
    throw new RangeError(`The message ${eventType} is ${size} bytes long; ${MAX_MESSAGE_BYTES} are allowed.`);
  }
  return text;
}

/**
 * @param {unknown} data  what a data channel brought
 * @returns {ApplicationMessage | null} null for what is no application message
 */
export function parseMessage(data) {
  if (typeof data !== "string" || data.length > MAX_MESSAGE_BYTES) {
    return null;
  }
  const value = parseObject(data);
  if (value === null || typeof value.event_type !== "string") {
    return null;
  }
  const payload = value.payload ?? {};
  return isObject(payload) ? { eventType: value.event_type, payload } : null;
}

/**
 * @param {ApplicationMessage} message
 * @returns {Notice | null} null for one that is no notice, or an empty one
 */
export function noticeOf({ eventType, payload }) {
  const { level, message } = payload;
  if (eventType !== "notice" || typeof message !== "string" || message.trim() === "") {
    return null;
  }
  const text = message.length > MAX_NOTICE_LENGTH ? `${message.slice(0, MAX_NOTICE_LENGTH - 1)}…` : message;
  return { level: level === "warning" || level === "error" ? level : "info", message: text };
}

/**
 * @param {string} text
 * @returns {Record<string, unknown> | null} null for what is no JSON object
 */
export function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
