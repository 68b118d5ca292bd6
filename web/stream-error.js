/**
 * Why a stream could not be had, or ended, in words that say what to do. Pure.
 */

/**
 * `code` is one of
 *
 * - `insecure`, `unreachable`, `no_answer`, `no_media`: it could not be had; the message says what to look at,
 * - `protocol`, `failed`: the backend is at fault,
 * - `refused`: this viewer is not taken; asking again does not help,
 * - `token`: the admission token is missing, expired or not one for this session; another one is needed,
 * - `ended`: the session is over,
 * - `draining`, `lost`: the way to the session is gone, the session may live; connect again,
 * - `closed`: this side left,
 * - or what the backend calls it: `bad_message`, `bad_offer`, `busy`, `backend_failed`.
 */
export class StreamError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "StreamError";
    this.code = code;
  }

  /** Whether connecting again, to the same session, may help. */
  get mayReconnect() {
    return !["insecure", "refused", "token", "ended"].includes(this.code);
  }
}

/**
 * How far an attempt came: no WebSocket yet; a WebSocket; the backend's answer; media.
 *
 * @typedef {"dialing" | "waiting" | "answered" | "connected"} Progress
 * @typedef {{host: string, signalingPort: number, mediaPort: number}} Target
 */

/**
 * @param {{code: number, reason: string}} event  of the WebSocket (docs/protocol.md §1)
 * @param {Progress} progress
 * @param {Target} target
 * @returns {StreamError}
 */
export function errorOfClose({ code, reason }, progress, target) {
  const { host, signalingPort } = target;
  switch (code) {
    case 1000:
      return new StreamError("lost", "The application closed the stream.");
    case 1006:
      return progress === "dialing"
        ? new StreamError(
            "unreachable",
            `The connection to ${host} on TCP port ${signalingPort} was refused. Either the session is over, or the port is not open to this browser.`,
          )
        : new StreamError("lost", "The connection to the relay was lost.");
    case 1008:
      return new StreamError("protocol", reason || "The application does not understand this page.");
    case 1011:
      return new StreamError("failed", reason || "The application failed.");
    case 1012:
      return new StreamError("draining", "The relay is being restarted. Connect again in a moment.");
    case 4001:
      return new StreamError("ended", "The session has ended.");
    case 4003:
      return errorOfRefusal(reason);
    default:
      return new StreamError("lost", reason || `The connection was closed (${code}).`);
  }
}

// A map, not an object: what is looked up in it comes from the network.
const TOKEN_REASONS = new Map(Object.entries({
  no_token: "This session can only be watched with a token, and there was none.",
  bad_token: "The token does not fit: it is not one for this session.",
  expired_token: "The token has expired.",
  viewer_role: "The token is for watching alone, which this application cannot offer.",
}));

/**
 * @param {string} reason  of a close with 4003: `<word>: <text>` where a token is at fault
 * @returns {StreamError}
 */
function errorOfRefusal(reason) {
  const text = TOKEN_REASONS.get(reason.split(":")[0] ?? "");
  return text === undefined
    ? new StreamError("refused", reason || "The session does not take this viewer.")
    : new StreamError("token", text);
}

/**
 * @param {Progress} progress
 * @param {Target} target
 * @returns {StreamError} for an attempt that took too long
 */
export function errorOfTimeout(progress, { host, signalingPort, mediaPort }) {
  switch (progress) {
    case "dialing":
      return new StreamError(
        "unreachable",
        `${host} does not answer on TCP port ${signalingPort}. A firewall on the way has to let it through.`,
      );
    case "waiting":
      return new StreamError("no_answer", "The relay took the connection, but the application behind it does not answer.");
    default:
      return errorOfMedia({ host, signalingPort, mediaPort });
  }
}

/**
 * @param {Target} target
 * @returns {StreamError} for signaling that works and media that does not come
 */
export function errorOfMedia({ host, mediaPort }) {
  return new StreamError(
    "no_media",
    `No picture comes from ${host}: UDP port ${mediaPort} cannot be reached. A firewall on the way has to let it through.`,
  );
}
