/**
 * Captures mouse, pen, touch, wheel and keyboard on the element that shows the picture.
 */

import { modifiersOf } from "./messages.js";
import { placeInPicture } from "./picture.js";

/** @typedef {import("./messages.js").InputEvent} InputEvent */

/** Pixels in a line and in a page, for wheels that count in those. */
const WHEEL_UNIT_PX = [1, 16, 400];
const MAX_WHEEL_PX = 10000;
/** Bit in `buttons` of each `button`: left, middle, right, back, forward. */
const BUTTON_BITS = [1, 4, 2, 8, 16];
const BUTTONS = 31;

/** What stays with the browser: the way on through the page, reload, full screen, developer tools. */
const KEYS_OF_THE_BROWSER = ["Tab", "F5", "F11", "F12"];

/** With shift it leaves the picture: what is typed goes to the page again. */
const LEAVE_KEY = "Escape";

/**
 * @typedef {object} InputSinks
 * @property {(event: InputEvent) => void} motion  a later event replaces an earlier one: it may be lost
 * @property {(event: InputEvent) => void} action  must arrive, in order
 */

/**
 * Send what happens on `element` to the sinks until `signal` aborts. It is made focusable, for the keyboard.
 * Tab goes on through the page; Shift+Escape leaves the picture.
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
  /** @type {Map<string, string>} keys held down: code and key */
  #keysDown = new Map();
  #buttonsDown = 0;
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
    if (!element.hasAttribute("tabindex")) {
      element.tabIndex = 0; // says 0 of itself already, and yet takes no focus
    }
    element.style.touchAction = "none"; // a finger that moves turns the model, not the page
    this.#on("pointermove", (event) => this.#pointerMoved(event));
    this.#on("pointerdown", (event) => this.#pointerPressed(event));
    this.#on("pointerup", (event) => this.#pointerReleased(event));
    this.#on("pointercancel", (event) => event.isPrimary && this.#releaseAll());
    this.#on("lostpointercapture", () => this.#buttonsDown !== 0 && this.#releaseAll());
    this.#on("wheel", (event) => this.#wheelTurned(event));
    this.#on("keydown", (event) => this.#keyPressed(event));
    this.#on("keyup", (event) => this.#keyReleased(event));
    this.#on("contextmenu", (event) => event.preventDefault());
    this.#on("blur", () => this.#releaseAll());
    signal.addEventListener("abort", () => cancelAnimationFrame(this.#frame), { once: true });
  }

  /**
   * @template {keyof HTMLElementEventMap} T
   * @param {T} type
   * @param {(event: HTMLElementEventMap[T]) => void} listener
   */
  #on(type, listener) {
    this.#element.addEventListener(type, listener, { signal: this.#signal, passive: false });
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
    if (event.button >= 0) {
      // A second button, while a first is held, comes as a move (Pointer Events §5.1.1, chorded buttons).
      const pressed = (event.buttons & bitOf(event.button)) !== 0;
      this.#buttonChanged(pressed ? "pointerdown" : "pointerup", event);
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
      this.#sinks.motion({ event: "pointermove", ...this.#fields(event), buttons: event.buttons & BUTTONS });
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
    this.#buttonChanged("pointerdown", event);
  }

  /** @param {PointerEvent} event */
  #pointerReleased(event) {
    if (event.isPrimary) {
      this.#buttonChanged("pointerup", event);
    }
  }

  /**
   * @param {string} name
   * @param {PointerEvent} event
   */
  #buttonChanged(name, event) {
    this.#sendMove();
    this.#buttonsDown = event.buttons & BUTTONS;
    const button = event.button in BUTTON_BITS ? event.button : 0;
    this.#sinks.action({ event: name, ...this.#fields(event), button, buttons: this.#buttonsDown });
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
      event.preventDefault();
      this.#element.blur();
      return;
    }
    if (KEYS_OF_THE_BROWSER.includes(event.key) || event.isComposing) {
      return;
    }
    event.preventDefault();
    this.#keysDown.set(event.code, event.key);
    this.#sendKey("keydown", event);
  }

  /** @param {KeyboardEvent} event */
  #keyReleased(event) {
    if (!this.#keysDown.delete(event.code)) {
      return;
    }
    event.preventDefault();
    this.#sendKey("keyup", event);
    if (event.key === "Meta") {
      this.#releaseKeys(event); // macOS tells of no release while Meta is held
    }
  }

  /** @param {KeyboardEvent} event */
  #releaseKeys(event) {
    for (const [code, key] of this.#keysDown) {
      this.#sinks.action({ event: "keyup", code, key, repeat: false, modifiers: modifiersOf(event) });
    }
    this.#keysDown.clear();
  }

  /**
   * @param {string} name
   * @param {KeyboardEvent} event
   */
  #sendKey(name, event) {
    const { code, key, repeat } = event;
    this.#sinks.action({ event: name, code, key, repeat, modifiers: modifiersOf(event) });
  }

  /** Nothing stays down in the application when the page no longer hears of its release. */
  #releaseAll() {
    this.#keysDown.clear();
    this.#buttonsDown = 0;
    this.#moved = null;
    this.#sinks.action({ event: "blur" });
  }
}

/** @param {number} button */
function bitOf(button) {
  return BUTTON_BITS[button] ?? 0;
}
