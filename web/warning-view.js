/**
 * Tells over the live picture that the session is about to end, for how long it still goes on, and offers to stay.
 */

import { element } from "./dom.js";
import { warningText } from "./words.js";

/** @typedef {import("./session-events.js").Warning} Warning */

export class WarningView {
  #box = element("warning", HTMLElement);
  #text = element("warning-text", HTMLElement);
  #button = element("extend-button", HTMLButtonElement);
  #extend;
  #timer = 0;

  /** @param {() => Promise<unknown>} extend */
  constructor(extend) {
    this.#extend = extend;
    this.#button.addEventListener("click", () => this.#stay());
  }

  /** @param {Warning | null} warning  null: nothing is to be warned of any more */
  show(warning) {
    clearInterval(this.#timer);
    this.#box.hidden = warning === null;
    if (warning === null) {
      return;
    }
    const endsAt = performance.now() + warning.leftMs;
    const tell = () => (this.#text.textContent = warningText(warning.reason, endsAt - performance.now()));
    tell();
    this.#timer = window.setInterval(tell, 1000);
    this.#button.hidden = !warning.extendable;
    this.#button.disabled = false;
  }

  async #stay() {
    this.#button.disabled = true;
    try {
      await this.#extend();
      this.show(null);
    } catch (error) {
      clearInterval(this.#timer);
      this.#button.hidden = true;
      this.#text.textContent = error instanceof Error ? error.message : String(error);
    }
  }
}
