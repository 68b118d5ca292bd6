/**
 * Why there is no picture any more, and what can be done.
 */

import { element } from "./dom.js";

/**
 * @param {import("./words.js").Ending} ending
 * @param {{again: boolean}} can  whether it is known what to start again
 */
export function drawEnding({ heading, text, advice, over }, { again }) {
  element("ended-heading", HTMLElement).textContent = heading;
  element("end-text", HTMLElement).textContent = text;
  element("end-advice", HTMLElement).textContent = advice;
  element("reconnect-button", HTMLButtonElement).hidden = over;
  element("give-up-button", HTMLButtonElement).hidden = over;
  element("again-button", HTMLButtonElement).hidden = !over || !again;
  element("back-button", HTMLButtonElement).hidden = !over;
}
