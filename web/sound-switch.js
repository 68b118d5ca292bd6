/**
 * The button that lets a session be heard. It is there where the session has sound; browsers allow sound only after a
 * gesture, so each session begins in silence.
 */

import { element } from "./dom.js";

/** @typedef {import("./lasting-stream.js").LastingStream} LastingStream */

export class SoundSwitch {
  #button = element("sound-button", HTMLButtonElement);
  #picture = element("picture", HTMLVideoElement);

  constructor() {
    this.#button.addEventListener("click", () => (this.#picture.muted = !this.#picture.muted));
    this.#picture.addEventListener("volumechange", () => this.#draw());
  }

  /**
   * Show the button where this stream brings sound.
   *
   * @param {LastingStream} stream
   */
  follow(stream) {
    this.#button.hidden = stream.stream.getAudioTracks().length === 0;
    this.#draw();
  }

  /** There is no stream. */
  clear() {
    this.#button.hidden = true;
    this.#picture.muted = true;
  }

  #draw() {
    this.#button.setAttribute("aria-pressed", String(!this.#picture.muted));
  }
}
