/**
 * The embeddable client: connects a video element to a streaming session through its relay.
 *
 *     import { connect } from "./stream-client.js";
 *     const stream = await connect({ sessionId, host, signalingPort, mediaPort, videoElement });
 *
 * It needs the session's id, the relay's host and its two ports, nothing else.
 */

import { pointCandidate, pointToRelay } from "./candidates.js";
import { captureInput } from "./input.js";
import { InputEncoder, encodeMessage, isObject, parseMessage, parseObject } from "./messages.js";

/** @typedef {import("./messages.js").InputEvent} InputEvent */

const CONNECT_TIMEOUT_MS = 20000;
const MAX_BUFFERED_BYTES = 1 << 20;

/**
 * @typedef {object} ConnectOptions
 * @property {string} sessionId
 * @property {string} host  the relay's IP address or name, as the session's routes give it
 * @property {number} signalingPort  TCP, `source_port` of the route described as signaling
 * @property {number} mediaPort  UDP, `source_port` of the route described as media
 * @property {boolean} [secure]  use wss; by default as the page itself was loaded
 * @property {{width: number, height: number, fps?: number}} [video]  a wish
 * @property {HTMLVideoElement} [videoElement]  shows the picture and takes input
 * @property {boolean} [input]  whether input is captured from the video element (default true)
 * @property {AbortSignal} [signal]  ends the attempt, and the stream
 * @property {number} [timeoutMs]
 */

/**
 * @typedef {"connecting" | "connected" | "ended"} StreamState
 * @typedef {object} StreamStats
 * @property {number} framesPerSecond
 * @property {number} framesDecoded
 * @property {number} bitsPerSecond
 * @property {number} width
 * @property {number} height
 * @property {number | null} roundTripMs
 * @property {number} packetsLost
 * @property {number} jitterMs
 * @property {string} codec
 * @property {string | null} remoteAddress  of the selected candidate pair
 */

/**
 * Why a stream could not be had or ended. `code` is one of `refused`, `unreachable`, `no_media`, `timeout`, `ended`,
 * `draining`, `lost`, `protocol`, `closed`, or what the backend called it.
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
}

/**
 * Connect to a session; resolves with the first decoded frame on its way.
 *
 * @param {ConnectOptions} options
 * @returns {Promise<StreamConnection>}
 * @throws {StreamError} and what `signal` was aborted with
 */
export async function connect(options) {
  const connection = new StreamConnection(options);
  await connection.ready;
  return connection;
}

/**
 * One viewer's connection. Events: `statechange`; `message` (detail: `{eventType, payload}`); `notice` (detail:
 * `{level, message}`); `firstframe`; `end` (detail: StreamError).
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

  #options;
  #peer = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" });
  #motion = this.#peer.createDataChannel("motion", { ordered: false, maxRetransmits: 0 });
  #messages = this.#peer.createDataChannel("messages");
  #encoder = new InputEncoder();
  #lifetime = new AbortController();
  #socket;
  #timer;
  /** @type {(value: void) => void} */
  #resolve = () => {};
  /** @type {(error: unknown) => void} */
  #reject = () => {};
  /** @type {{at: number, bytes: number, frames: number} | null} */
  #lastStats = null;

  /** @param {ConnectOptions} options */
  constructor(options) {
    super();
    this.#options = checked(options);
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {}); // told by the `end` event as well
    this.#socket = new WebSocket(signalingUrl(options), [`x-nv-sessionid.${options.sessionId}`]);
    this.#timer = setTimeout(() => this.#giveUp(), options.timeoutMs ?? CONNECT_TIMEOUT_MS);
    this.#listen();
    options.signal?.addEventListener("abort", () => this.#end(options.signal?.reason), {
      signal: this.#lifetime.signal,
    });
    if (options.signal?.aborted) {
      this.#end(options.signal.reason);
    }
  }

  /**
   * Send an application message to the backend.
   *
   * @param {string} eventType
   * @param {Record<string, unknown>} [payload]
   * @throws {RangeError} when it is longer than 64 KiB
   */
  sendMessage(eventType, payload = {}) {
    this.#send(this.#messages, encodeMessage(eventType, payload));
  }

  /**
   * Send one input event (docs/protocol.md §2), without its `seq`.
   *
   * @param {InputEvent} event
   */
  sendInput(event) {
    this.#send(event.event === "pointermove" ? this.#motion : this.#messages, this.#encoder.encode(event));
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
    const report = await this.#peer.getStats();
    const entries = [...report.values()];
    const video = entries.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video") ?? {};
    const pair = entries.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded");
    const remote = pair === undefined ? undefined : report.get(pair.remoteCandidateId);
    const now = { at: performance.now(), bytes: video.bytesReceived ?? 0, frames: video.framesDecoded ?? 0 };
    const since = this.#lastStats ?? { at: now.at - 1000, bytes: now.bytes, frames: now.frames };
    const seconds = Math.max(0.001, (now.at - since.at) / 1000);
    this.#lastStats = now;
    return {
      framesPerSecond: (now.frames - since.frames) / seconds,
      framesDecoded: now.frames,
      bitsPerSecond: (8 * (now.bytes - since.bytes)) / seconds,
      width: video.frameWidth ?? 0,
      height: video.frameHeight ?? 0,
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      packetsLost: video.packetsLost ?? 0,
      jitterMs: (video.jitter ?? 0) * 1000,
      codec: report.get(video.codecId)?.mimeType?.replace("video/", "") ?? "",
      remoteAddress: remote === undefined ? null : `${remote.address}:${remote.port}`,
    };
  }

  #listen() {
    const socket = this.#socket;
    const peer = this.#peer;
    const options = { signal: this.#lifetime.signal };
    socket.addEventListener("message", (event) => this.#hear(event.data), options);
    socket.addEventListener("close", (event) => this.#end(this.#closed(event)), options);
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
        this.#settle(this.#take(String(message.sdp)));
        break;
      case "error":
        this.#end(new StreamError(String(message.code), String(message.message)));
        break;
      case "candidate":
        this.#addCandidate(message.candidate);
        break;
      default:
        this.#end(new StreamError("protocol", "The backend sent something that is not in the protocol."));
    }
  }

  /** @param {unknown} candidate */
  #addCandidate(candidate) {
    const { host, mediaPort } = this.#options;
    const text = isObject(candidate) ? pointCandidate(String(candidate.candidate), host, mediaPort) : null;
    if (text !== null) {
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
    if ("jitterBufferTarget" in receiver) {
      receiver.jitterBufferTarget = 0; // interactive: show a frame when it is there
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
    if (element === undefined) {
      return;
    }
    element.srcObject = this.stream;
    element.muted = true;
    element.playsInline = true;
    element.play().catch(() => {}); // the page's own controls can start it
    const first = () => this.dispatchEvent(new Event("firstframe"));
    element.addEventListener("loadeddata", first, { once: true, signal: this.#lifetime.signal });
    if (this.#options.input !== false && this.role === "controller") {
      const sinks = { motion: this.sendInput.bind(this), action: this.sendInput.bind(this) };
      captureInput(element, sinks, this.#lifetime.signal);
    }
  }

  #follow() {
    const { host, mediaPort } = this.#options;
    switch (this.#peer.connectionState) {
      case "connected":
        clearTimeout(this.#timer);
        this.#enter("connected");
        this.#resolve();
        break;
      case "failed":
        this.#end(
          this.state === "connected"
            ? new StreamError("lost", "The connection to the stream was lost.")
            : new StreamError("no_media", `No media came from ${host}. UDP port ${mediaPort} must be open to it.`),
        );
        break;
    }
  }

  /** @param {unknown} data */
  #receive(data) {
    const message = parseMessage(data);
    if (message === null) {
      return;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
    if (message.eventType === "notice") {
      const { level, message: text } = message.payload;
      this.dispatchEvent(new CustomEvent("notice", { detail: { level: String(level), message: String(text) } }));
    }
  }

  /** @param {CloseEvent} event */
  #closed(event) {
    const { host, signalingPort } = this.#options;
    switch (event.code) {
      case 1012:
        return new StreamError("draining", "The relay is being restarted. Connect again.");
      case 4001:
        return new StreamError("ended", "The session has ended.");
      case 4003:
        return new StreamError("refused", "The session does not take this viewer.");
      case 1006:
        return this.state === "connecting"
          ? new StreamError("unreachable", `${host} refused the connection. TCP port ${signalingPort} must be open to it, and the session must be live.`)
          : new StreamError("lost", "The connection to the relay was lost.");
      default:
        return new StreamError("lost", event.reason || "The backend closed the connection.");
    }
  }

  #giveUp() {
    const { host, signalingPort, mediaPort } = this.#options;
    this.#end(
      this.#socket.readyState === WebSocket.CONNECTING
        ? new StreamError("unreachable", `${host} does not answer on TCP port ${signalingPort}.`)
        : new StreamError("timeout", `No picture came in time. UDP port ${mediaPort} of ${host} must be reachable.`),
    );
  }

  /** @param {Record<string, unknown>} message */
  #tell(message) {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  /**
   * @param {RTCDataChannel} channel
   * @param {string} text
   */
  #send(channel, text) {
    if (channel.readyState === "open" && channel.bufferedAmount < MAX_BUFFERED_BYTES) {
      channel.send(text);
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
    this.#lifetime.abort();
    this.#socket.close();
    this.#peer.close();
    if (this.#options.videoElement?.srcObject === this.stream) {
      this.#options.videoElement.srcObject = null;
    }
    this.#enter("ended");
    this.#reject(reason);
    this.dispatchEvent(new CustomEvent("end", { detail: reason }));
  }
}

/**
 * @param {ConnectOptions} options
 * @returns {ConnectOptions}
 */
function checked(options) {
  for (const name of /** @type {const} */ (["signalingPort", "mediaPort"])) {
    const port = options[name];
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new TypeError(`${name} must be a port from 1 to 65535, not ${String(port)}.`);
    }
  }
  if (!options.sessionId || !options.host) {
    throw new TypeError("sessionId and host are needed.");
  }
  return options;
}

/**
 * @param {ConnectOptions} options
 * @returns {string}
 */
export function signalingUrl({ sessionId, host, signalingPort, secure }) {
  const scheme = secure ?? globalThis.location?.protocol === "https:" ? "wss" : "ws";
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return `${scheme}://${name}:${signalingPort}/session/${encodeURIComponent(sessionId)}`;
}
