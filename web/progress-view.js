/**
 * How far a session is on its way to a picture: the steps, a word on what is waited for, and the seconds.
 */

import { element, textElement } from "./dom.js";
import { STEPS } from "./words.js";

export class ProgressView {
  #crossing = element("crossing", HTMLElement);
  #steps = element("steps", HTMLOListElement);
  #phase = element("phase", HTMLElement);
  #elapsed = element("elapsed", HTMLElement);
  #timer = 0;

  constructor() {
    this.#steps.replaceChildren(...STEPS.map((step) => textElement("li", step)));
  }

  /** @param {string} heading */
  begin(heading) {
    element("progress-heading", HTMLElement).textContent = heading;
    this.tell(0, "Asking the broker");
    this.stop();
    const began = performance.now();
    this.#elapsed.textContent = "0";
    this.#timer = window.setInterval(() => {
      this.#elapsed.textContent = String(Math.floor((performance.now() - began) / 1000));
    }, 250);
  }

  /**
   * @param {number} step  which of STEPS
   * @param {string} text
   */
  tell(step, text) {
    this.#crossing.dataset.step = String(step);
    for (const [index, item] of [...this.#steps.children].entries()) {
      item.toggleAttribute("data-done", index < step);
      index === step ? item.setAttribute("aria-current", "step") : item.removeAttribute("aria-current");
    }
    if (this.#phase.textContent !== text) {
      this.#phase.textContent = text;
    }
  }

  /** The seconds count no more. */
  stop() {
    clearInterval(this.#timer);
  }
}
