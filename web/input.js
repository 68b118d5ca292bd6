/**
 * Captures mouse, pen, touch, wheel and keyboard on the element that shows the picture.
 */

import { modifiersOf } from "./messages.js";
import { placeInPicture } from "./picture.js";

/** @typedef {import("./messages.js").InputEvent} InputEvent */

/** Pixels in a line and in a page, for wheels that count in those. */
const WHEEL_UNIT_PX = [1, 16, 400];
const MAX_WHEEL_PX = 10000;

/**
 * Leaves the picture: what is typed goes to the page again.
 */
export const LEAVE_KEY = "Escape";

/**
 * @typedef {object} InputSinks
 * @property {(event: InputEvent) => void} motion  a later event replaces an earlier one: it may be lost
 * @property {(event: InputEvent) => void} action  must arrive, in order
 */

/**
 * Send what happens on `element` to the sinks until `signal` aborts. The element must be focusable for the keyboard.
 * Shift+Escape leaves the picture by keyboard.
 *
 * @param {HTMLVideoElement} element
 * @param {InputSinks} sinks
 * @param {AbortSignal} signal
 */
export function captureInput(element, sinks, signal) {
  new Capture(element, sinks, signal);
}

class Capture {
  #element;
  #sinks;
  #signal;
  /** @type {Set<string>} */
  #keysDown = new Set();
  /** @type {PointerEvent | null} */
  #moved = null;
  #frame = 0;

  /**
   * @param {HTMLVideoElement} element
   * @param {InputSinks} sinks
   * @param {AbortSignal} signal
   */
  constructor(element, sinks, signal) {
    this.#element = element;
    this.#sinks = sinks;
    this.#signal = signal;
    const on = this.#on.bind(this);
    on("pointermove", (/** @type {PointerEvent} */ event) => this.#pointerMoved(event));
    on("pointerdown", (/** @type {PointerEvent} */ event) => this.#pointerPressed(event));
    on("pointerup", (/** @type {PointerEvent} */ event) => this.#pointerReleased(event));
    on("pointercancel", () => this.#releaseAll());
    on("wheel", (/** @type {WheelEvent} */ event) => this.#wheelTurned(event));
    on("keydown", (/** @type {KeyboardEvent} */ event) => this.#keyPressed(event));
    on("keyup", (/** @type {KeyboardEvent} */ event) => this.#keyReleased(event));
    on("contextmenu", (/** @type {Event} */ event) => event.preventDefault());
    on("blur", () => this.#releaseAll());
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  /**
   * @template {Event} E
   * @param {string} type
   * @param {(event: E) => void} listener
   */
  #on(type, listener) {
    const options = { signal: this.#signal, passive: false };
    this.#element.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /** @param {MouseEvent} event */
  #fields(event) {
    const box = this.#element.getBoundingClientRect();
    const size = { width: this.#element.videoWidth, height: this.#element.videoHeight };
    const place = placeInPicture({ x: event.clientX, y: event.clientY }, box, size);
    return { ...place, modifiers: modifiersOf(event) };
  }

  /** @param {PointerEvent} event */
  #pointerMoved(event) {
    if (!event.isPrimary) {
      return;
    }
    this.#moved = event;
    if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => this.#sendMove());
    }
  }

  /** Several moves between two frames are one. */
  #sendMove() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const event = this.#moved;
    this.#moved = null;
    if (event !== null) {
      this.#sinks.motion({ event: "pointermove", ...this.#fields(event), buttons: event.buttons });
    }
  }

  /** @param {PointerEvent} event */
  #pointerPressed(event) {
    if (!event.isPrimary) {
      return;
    }
    event.preventDefault();
    this.#element.focus({ preventScroll: true });
    this.#element.setPointerCapture(event.pointerId);
    this.#sendMove();
    this.#sendButton("pointerdown", event);
  }

  /** @param {PointerEvent} event */
  #pointerReleased(event) {
    if (!event.isPrimary) {
      return;
    }
    this.#sendMove();
    this.#sendButton("pointerup", event);
  }

  /**
   * @param {string} name
   * @param {PointerEvent} event
   */
  #sendButton(name, event) {
    const button = Math.max(0, event.button);
    this.#sinks.action({ event: name, ...this.#fields(event), button, buttons: event.buttons });
  }

  /** @param {WheelEvent} event */
  #wheelTurned(event) {
    event.preventDefault();
    const unit = WHEEL_UNIT_PX[event.deltaMode] ?? 1;
    const [dx, dy] = [event.deltaX, event.deltaY].map((delta) =>
      Math.max(-MAX_WHEEL_PX, Math.min(MAX_WHEEL_PX, delta * unit)),
    );
    this.#sinks.action({ event: "wheel", ...this.#fields(event), dx, dy });
  }

  /** @param {KeyboardEvent} event */
  #keyPressed(event) {
    if (event.key === LEAVE_KEY && event.shiftKey) {
      this.#element.blur();
      return;
    }
    if (event.key === "Tab" || event.isComposing) {
      return; // Tab goes on through the page
    }
    event.preventDefault();
    this.#keysDown.add(event.code);
    this.#sendKey("keydown", event);
  }

  /** @param {KeyboardEvent} event */
  #keyReleased(event) {
    if (this.#keysDown.delete(event.code)) {
      event.preventDefault();
      this.#sendKey("keyup", event);
    }
  }

  /**
   * @param {string} name
   * @param {KeyboardEvent} event
   */
  #sendKey(name, event) {
    const { code, key, repeat } = event;
    this.#sinks.action({ event: name, code, key, repeat, modifiers: modifiersOf(event) });
  }

  /** No key stays down in the application when the page no longer hears of its release. */
  #releaseAll() {
    this.#keysDown.clear();
    this.#sinks.action({ event: "blur" });
  }
}
