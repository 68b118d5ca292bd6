/**
 * The embeddable client: connects a video element to a streaming session through its relay.
 *
 *     import { connect } from "./stream-client.js";
 *     const stream = await connect({ sessionId, host, signalingPort, mediaPort, videoElement });
 *
 * It needs the session's id, the relay's host and its two ports; and the session's token, where it asks for one.
 */

import { keepRenewed } from "./admission-token.js";
import { pointCandidate, pointToRelay } from "./candidates.js";
import { checked, dial } from "./connect-options.js";
import { captureInput } from "./input.js";
import { send, showAtOnce } from "./low-latency.js";
import { InputEncoder, encodeMessage, isObject, noticeOf, parseMessage, parseObject } from "./messages.js";
import { StreamError, errorOfClose, errorOfMedia, errorOfTimeout } from "./stream-error.js";
import { holdStill } from "./still.js";
import { readStats } from "./stream-stats.js";

export { StreamError };

/**
 * @typedef {import("./connect-options.js").ConnectOptions} ConnectOptions
 * @typedef {import("./messages.js").InputEvent} InputEvent
 * @typedef {import("./stream-stats.js").StreamStats} StreamStats
 */

const CONNECT_TIMEOUT_MS = 20000;

/**
 * `interrupted`: nothing arrives for the moment; it may go on by itself.
 *
 * @typedef {"connecting" | "connected" | "interrupted" | "ended"} StreamState
 */

/**
 * Connect to a session; resolves when media arrives. To connect again after an end, call it again.
 *
 * @param {ConnectOptions} options
 * @returns {Promise<StreamConnection>}
 * @throws {StreamError} TypeError, and what `signal` was aborted with
 */
export async function connect(options) {
  const connection = new StreamConnection(options);
  await connection.ready;
  return connection;
}

/**
 * One viewer's connection. Events: `statechange`; `firstframe` (once, after `ready`); `message` (detail: `{eventType,
 * payload}`); `token` (detail: the admission token, renewed); `notice` (detail: `{level, message}`); `error` (detail: StreamError), then `end` (detail: the same, or
 * what ended it on this side).
 */
export class StreamConnection extends EventTarget {
  /** @type {Promise<void>} */
  ready;
  /** @type {MediaStream} */
  stream = new MediaStream();
  /** @type {"controller" | "viewer"} */
  role = "controller";
  /** @type {StreamState} */
  state = "connecting";
  /**
   * Admits to the session; a renewed one takes its place.
   *
   * @type {string | null}
   */
  token;

  #options;
  #peer;
  #motion;
  #messages;
  #socket;
  #timer;
  #encoder = new InputEncoder();
  #lifetime = new AbortController();
  /** @type {import("./stream-error.js").Progress} */
  #progress = "dialing";
  /** @type {(value: void) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};
  /** @type {import("./stream-stats.js").Sample | null} */
  #lastSample = null;

  /**
   * @param {ConnectOptions} options
   * @throws {StreamError} TypeError, and what `signal` was aborted with
   */
  constructor(options) {
    super();
    options.signal?.throwIfAborted();
    this.#options = checked(options);
    this.token = options.token ?? null;
    this.#socket = dial(options);
    this.#peer = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
    this.#motion = this.#peer.createDataChannel("motion", { ordered: false, maxRetransmits: 0 });
    this.#messages = this.#peer.createDataChannel("messages");
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {}); // told by the `end` event as well
    this.#timer = setTimeout(
      () => this.#end(errorOfTimeout(this.#progress, options)),
      options.timeoutMs ?? CONNECT_TIMEOUT_MS,
    );
    this.#listen();
  }

  /**
   * Send an application message to the backend.
   *
   * @param {string} eventType
   * @param {Record<string, unknown>} [payload]
   * @returns {boolean} whether it was sent: not before the stream is connected, nor when the connection is choked
   * @throws {RangeError} when it is longer than 64 KiB
   */
  sendMessage(eventType, payload = {}) {
    return send(this.#messages, encodeMessage(eventType, payload));
  }

  /**
   * Send one input event (docs/protocol.md §2), without its `seq`.
   *
   * @param {InputEvent} event
   */
  sendInput(event) {
    send(event.event === "pointermove" ? this.#motion : this.#messages, this.#encoder.encode(event));
  }

  /** Leave. The session goes on; end it by the broker. */
  close() {
    this.#tell({ type: "bye" });
    this.#end(new StreamError("closed", "You left the stream."));
  }

  /**
   * What arrives now; rates are since the last call.
   *
   * @returns {Promise<StreamStats>}
   */
  async stats() {
    const report = /** @type {import("./stream-stats.js").Report} */ (await this.#peer.getStats());
    const { stats, sample } = readStats(report, this.#lastSample);
    this.#lastSample = sample;
    return stats;
  }

  #listen() {
    const socket = this.#socket;
    const peer = this.#peer;
    const options = { signal: this.#lifetime.signal };
    const abort = this.#options.signal;
    abort?.addEventListener("abort", () => this.#end(abort.reason), options);
    socket.addEventListener("open", () => (this.#progress = "waiting"), options);
    socket.addEventListener("message", (event) => this.#hear(event.data), options);
    socket.addEventListener("close", (event) => this.#end(errorOfClose(event, this.#progress, this.#options)), options);
    peer.addEventListener("track", (event) => this.#show(event.track), options);
    peer.addEventListener(
      "icecandidate",
      (event) => this.#tell({ type: "candidate", candidate: event.candidate?.toJSON() ?? null }),
      options,
    );
    peer.addEventListener("connectionstatechange", () => this.#follow(), options);
    this.#messages.addEventListener("message", (event) => this.#receive(event.data), options);
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = typeof data === "string" ? parseObject(data) : null;
    switch (message?.type) {
      case "hello":
        this.role = message.role === "viewer" ? "viewer" : "controller";
        this.#settle(this.#offer());
        break;
      case "answer":
        this.#progress = "answered";
        this.#settle(this.#take(String(message.sdp)));
        break;
      case "error":
        this.#end(
          message.code === "ice_timeout" // the backend's clock ran out first, and it does not know the relay's port
            ? errorOfMedia(this.#options)
            : new StreamError(String(message.code), String(message.message)),
        );
        break;
      case "candidate":
        this.#addCandidate(message.candidate);
        break;
      case undefined:
        this.#end(new StreamError("protocol", "The backend sent something that is not in the protocol."));
    }
  }

  /** @param {unknown} candidate */
  #addCandidate(candidate) {
    const { host, mediaPort } = this.#options;
    const texts = isObject(candidate) ? pointCandidate(String(candidate.candidate), host, mediaPort) : [];
    for (const text of texts) {
      const whole = { .../** @type {RTCIceCandidateInit} */ (candidate), candidate: text };
      this.#peer.addIceCandidate(whole).catch(() => {}); // one that is of no use is no fault of the stream
    }
  }

  /** @param {Promise<void>} work */
  #settle(work) {
    work.catch((error) => this.#end(new StreamError("protocol", `The stream could not be set up: ${error.message}`)));
  }

  async #offer() {
    const { receiver } = this.#peer.addTransceiver("video", { direction: "recvonly" });
    showAtOnce(receiver);
    if (this.#options.audio) {
      this.#peer.addTransceiver("audio", { direction: "recvonly" });
    }
    await this.#peer.setLocalDescription();
    this.#tell({ type: "offer", sdp: this.#peer.localDescription?.sdp, video: this.#options.video });
  }

  /** @param {string} sdp */
  async #take(sdp) {
    const { host, mediaPort } = this.#options;
    await this.#peer.setRemoteDescription({ type: "answer", sdp: pointToRelay(sdp, host, mediaPort) });
  }

  /** @param {MediaStreamTrack} track */
  #show(track) {
    this.stream.addTrack(track);
    const element = this.#options.videoElement;
    if (element === undefined || track.kind !== "video") {
      return;
    }
    element.srcObject = this.stream;
    element.muted = true;
    element.playsInline = true;
    element.play().catch(() => {}); // the page's own controls can start it
    element.addEventListener("loadeddata", () => this.#announce(), { once: true, signal: this.#lifetime.signal });
    if (this.#options.input !== false && this.role === "controller") {
      const sinks = { motion: this.sendInput.bind(this), action: this.sendInput.bind(this) };
      captureInput(element, sinks, this.#lifetime.signal);
    }
  }

  /** Later than `ready`, so that who waits for that has time to listen. */
  async #announce() {
    await this.ready.catch(() => {});
    setTimeout(() => {
      if (this.state !== "ended") {
        this.dispatchEvent(new Event("firstframe"));
      }
    });
  }

  #follow() {
    switch (this.#peer.connectionState) {
      case "connected":
        clearTimeout(this.#timer);
        if (this.#progress !== "connected") {
          this.#keepToken();
        }
        this.#progress = "connected";
        this.#enter("connected");
        this.#resolve();
        break;
      case "disconnected":
        if (this.state === "connected") {
          this.#enter("interrupted");
        }
        break;
      case "failed":
        this.#end(
          this.#progress === "connected"
            ? new StreamError("lost", "The connection to the stream was lost.")
            : errorOfMedia(this.#options),
        );
        break;
    }
  }

  /** It is asked for when connecting alone, so a fresh one is for the next time. */
  #keepToken() {
    const { brokerUrl, sessionId } = this.#options;
    if (this.token === null || brokerUrl === undefined) {
      return;
    }
    const take = (/** @type {string} */ token) => {
      this.token = token;
      this.dispatchEvent(new CustomEvent("token", { detail: token }));
    };
    keepRenewed({ brokerUrl, sessionId, token: this.token }, take, this.#lifetime.signal);
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parseMessage(data);
    if (message === null) {
      return;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    const notice = noticeOf(message);
    if (notice !== null) {
      this.dispatchEvent(new CustomEvent("notice", { detail: notice }));
    }
  }

  /** @param {Record<string, unknown>} message */
  #tell(message) {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  /** @param {StreamState} state */
  #enter(state) {
    if (this.state !== state) {
      this.state = state;
      this.dispatchEvent(new Event("statechange"));
    }
  }

  /** @param {unknown} reason */
  #end(reason) {
    if (this.state === "ended") {
      return;
    }
    clearTimeout(this.#timer);
    const element = this.#options.videoElement;
    if (element?.srcObject === this.stream && this.#options.keepPicture) {
      holdStill(element); // while it is still there
    }
    this.#lifetime.abort();
    this.#socket.close(1000);
    this.#peer.close();
    if (element?.srcObject === this.stream) {
      element.srcObject = null;
    }
    this.#enter("ended");
    this.#reject(reason);
    if (reason instanceof StreamError && reason.code !== "closed") {
      this.dispatchEvent(new CustomEvent("error", { detail: reason }));
    }
    this.dispatchEvent(new CustomEvent("end", { detail: reason }));
  }
}
