/**
 * What a stream is connected by: the options, checked, and the WebSocket that they lead to.
 */

import { isToken } from "./admission-token.js";
import { StreamError } from "./stream-error.js";

/**
 * @typedef {object} ConnectOptions
 * @property {string} sessionId
 * @property {string} host  the relay's IP address or name, as the session's routes give it
 * @property {number} signalingPort  TCP, `source_port` of the route described as signaling
 * @property {number} mediaPort  UDP, `source_port` of the route described as media
 * @property {string | null} [token]  the session's admission token, where it asks for one
 * @property {string | URL} [brokerUrl]  renews the token in good time while the stream is connected (event `token`)
 * @property {boolean} [secure]  use wss; by default as the page itself was loaded
 * @property {{width: number, height: number, fps?: number}} [video]  a wish
 * @property {HTMLVideoElement} [videoElement]  shows the picture and takes input
 * @property {boolean} [audio]  whether to listen as well (default false); the element starts muted, since browsers play
 *   sound after a gesture of the user only: set `videoElement.muted = false` in its handler
 * @property {boolean} [input]  whether input is captured from the video element (default true)
 * @property {boolean} [keepPicture]  show the last picture as the element's poster at the end, as another stream is to follow
 * @property {AbortSignal} [signal]  ends the attempt, and the stream
 * @property {number} [timeoutMs]
 */

/**
 * @param {ConnectOptions} options
 * @returns {ConnectOptions}
 * @throws {TypeError}
 */
export function checked(options) {
  for (const name of /** @type {const} */ (["signalingPort", "mediaPort"])) {
    const port = options[name];
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new TypeError(`${name} must be a port from 1 to 65535, not ${String(port)}.`);
    }
  }
  if (!options.sessionId || !options.host) {
    throw new TypeError("sessionId and host are needed.");
  }
  if (options.token != null && !isToken(options.token)) {
    throw new TypeError("token must be an admission token, as the broker gives it.");
  }
  return options;
}

/**
 * @param {ConnectOptions} options
 * @returns {WebSocket}
 * @throws {StreamError}
 */
export function dial(options) {
  const url = signalingUrl(options);
  try {
    const token = options.token ? [`Authorization-Bearer.${options.token}`] : [];
    return new WebSocket(url, [`x-nv-sessionid.${options.sessionId}`, ...token]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "SecurityError") {
      throw new StreamError("insecure", "A page loaded by https can only connect by wss: the relay needs TLS in front of it.");
    }
    throw new TypeError(`${url} is no address that can be connected to.`, { cause: error });
  }
}

/**
 * @param {ConnectOptions} options
 * @returns {string}
 */
export function signalingUrl({ sessionId, host, signalingPort, secure = globalThis.location?.protocol === "https:" }) {
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return `${secure ? "wss" : "ws"}://${name}:${signalingPort}/session/${encodeURIComponent(sessionId)}`;
}
