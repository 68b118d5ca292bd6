/**
 * What lies over the live picture: notices of the application, figures of the stream, its state.
 */

import { element, textElement } from "./dom.js";
import { SoundSwitch } from "./sound-switch.js";
import { deliveredOf, rowsOf } from "./stats-rows.js";

/** @typedef {import("./messages.js").Notice} Notice */
/** @typedef {import("./lasting-stream.js").LastingStream} LastingStream */

const NOTICE_MS = 8000;
const MAX_NOTICES = 4;
const STATS_MS = 1000;

export class LiveView {
  #notices = element("notices", HTMLElement);
  #stats = element("stats", HTMLElement);
  #statsButton = element("stats-button", HTMLButtonElement);
  #state = element("state", HTMLElement);
  #reconnecting = element("reconnecting", HTMLElement);
  #sound = new SoundSwitch();
  /** @type {import("./stats-rows.js").Delivered | null} */
  #delivered = null;
  #timer = 0;
  /** @type {LastingStream | null} */
  #stream = null;

  constructor() {
    this.#statsButton.addEventListener("click", () => this.#toggleStats());
    const fullScreen = element("full-screen-button", HTMLButtonElement);
    fullScreen.hidden = !document.fullscreenEnabled;
    fullScreen.addEventListener("click", () => enterFullScreen());
  }

  /**
   * Follow this stream until it ends.
   *
   * @param {LastingStream} stream
   */
  follow(stream) {
    this.#stream = stream;
    this.#tellState(stream);
    stream.addEventListener("statechange", () => this.#tellState(stream));
    stream.addEventListener("message", (event) => {
      this.#delivered = deliveredOf(/** @type {CustomEvent} */ (event).detail) ?? this.#delivered;
    });
    stream.addEventListener("notice", (event) => this.#notice(/** @type {CustomEvent} */ (event).detail));
    stream.addEventListener("end", () => clearInterval(this.#timer));
    clearInterval(this.#timer);
    this.#timer = window.setInterval(() => this.#drawStats(), STATS_MS);
  }

  /** Nothing is left of the stream before. */
  clear() {
    clearInterval(this.#timer);
    this.#stream = this.#delivered = null;
    this.#sound.clear();
    this.#reconnecting.hidden = true;
    this.#notices.replaceChildren();
    this.#stats.replaceChildren();
  }

  /** @param {LastingStream} stream */
  #tellState(stream) {
    if (stream !== this.#stream) {
      return;
    }
    const live = stream.role === "viewer" ? "View only" : "Live";
    this.#state.dataset.state = stream.state;
    this.#sound.follow(stream);
    this.#reconnecting.hidden = stream.state !== "reconnecting";
    this.#state.textContent = {
      connecting: "",
      connected: live,
      interrupted: "Interrupted",
      reconnecting: "Reconnecting",
      ended: "Disconnected",
    }[stream.state];
  }

  /** @param {Notice} notice */
  #notice({ level, message }) {
    const line = textElement("p", message);
    line.dataset.level = level;
    this.#notices.append(line);
    while (this.#notices.children.length > MAX_NOTICES) {
      this.#notices.firstElementChild?.remove();
    }
    if (level !== "error") {
      setTimeout(() => line.remove(), NOTICE_MS);
      return;
    }
    const dismiss = textElement("button", "×");
    dismiss.setAttribute("aria-label", "Dismiss");
    dismiss.addEventListener("click", () => line.remove());
    line.append(dismiss);
  }

  #toggleStats() {
    this.#stats.hidden = !this.#stats.hidden;
    this.#statsButton.setAttribute("aria-pressed", String(!this.#stats.hidden));
    this.#drawStats();
  }

  async #drawStats() {
    const stream = this.#stream;
    if (stream === null || stream.state === "ended") {
      return;
    }
    const stats = await stream.stats(); // asked for while hidden, too: rates are since the last time
    if (stats !== null && !this.#stats.hidden && stream === this.#stream) {
      this.#stats.replaceChildren(
        ...rowsOf(stats, this.#delivered).flatMap(([name, value]) => [textElement("dt", name), textElement("dd", value)]),
      );
    }
  }
}

async function enterFullScreen() {
  await element("live", HTMLElement).requestFullscreen();
  element("picture", HTMLVideoElement).focus({ preventScroll: true });
}
