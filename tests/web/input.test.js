import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import test from "node:test";

import { captureInput } from "../../web/input.js";

/** @typedef {import("../../web/messages.js").InputEvent} InputEvent */

/** An element as far as a capture sees it: 200 by 100 pixels at (10, 20), its picture as wide. */
class Screen extends EventTarget {
  tabIndex = -1;
  attributes = new Set();
  style = { touchAction: "" };
  videoWidth = 1280;
  videoHeight = 640;
  focused = false;
  captured = -1;

  getBoundingClientRect() {
    return { left: 10, top: 20, width: 200, height: 100 };
  }

  /** @param {string} name */
  hasAttribute(name) {
    return this.attributes.has(name);
  }

  focus() {
    this.focused = true;
  }

  blur() {
    this.focused = false;
    this.dispatchEvent(new Event("blur"));
  }

  /** @param {number} pointerId */
  setPointerCapture(pointerId) {
    this.captured = pointerId;
  }
}

const NEUTRAL = { shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, isPrimary: true, pointerId: 7 };

/** @param {import("node:test").TestContext} context */
function captured(context) {
  const screen = new Screen();
  const lifetime = new AbortController();
  setMaxListeners(20, lifetime.signal);
  /** @type {{channel: string, event: InputEvent}[]} */
  const sent = [];
  /** @type {(() => void)[]} */
  const frames = [];
  Object.assign(globalThis, {
    requestAnimationFrame: (/** @type {() => void} */ callback) => frames.push(callback),
    cancelAnimationFrame: (/** @type {number} */ frame) => frame > 0 && (frames[frame - 1] = () => {}),
  });
  context.after(() => {
    Reflect.deleteProperty(globalThis, "requestAnimationFrame");
    Reflect.deleteProperty(globalThis, "cancelAnimationFrame");
  });
  captureInput(
    /** @type {HTMLVideoElement} */ (/** @type {unknown} */ (screen)),
    {
      motion: (event) => sent.push({ channel: "motion", event }),
      action: (event) => sent.push({ channel: "action", event }),
    },
    lifetime.signal,
  );
  return {
    screen,
    lifetime,
    frames,
    /** What was sent since the last time. */
    taken: () => sent.splice(0),
    /**
     * @param {string} type
     * @param {Record<string, unknown>} [fields]
     * @returns {boolean} whether the browser goes on with it
     */
    happen(type, fields = {}) {
      return screen.dispatchEvent(Object.assign(new Event(type, { cancelable: true }), NEUTRAL, fields));
    },
  };
}

const MIDDLE = { clientX: 110, clientY: 70 };

test("moves between two frames are one, on the motion channel", (context) => {
  const { happen, frames, taken } = captured(context);
  happen("pointermove", { clientX: 10, clientY: 20, button: -1, buttons: 0 });
  happen("pointermove", { ...MIDDLE, button: -1, buttons: 1, shiftKey: true });
  assert.deepEqual(taken(), []);
  frames.forEach((frame) => frame());
  assert.deepEqual(taken(), [
    { channel: "motion", event: { event: "pointermove", x: 0.5, y: 0.5, buttons: 1, modifiers: 1 } },
  ]);
});

test("a press takes the focus and the pointer, and comes after the move before it", (context) => {
  const { happen, screen, taken, frames } = captured(context);
  happen("pointermove", { clientX: 10, clientY: 20, button: -1, buttons: 0 });
  assert.equal(happen("pointerdown", { ...MIDDLE, button: 2, buttons: 2 }), false);
  happen("pointerup", { clientX: 210, clientY: 120, button: 2, buttons: 0 });
  assert.deepEqual(
    taken().map(({ channel, event }) => [channel, event.event, event.x, event.button, event.buttons]),
    [
      ["motion", "pointermove", 0, undefined, 0],
      ["action", "pointerdown", 0.5, 2, 2],
      ["action", "pointerup", 1, 2, 0],
    ],
  );
  assert.deepEqual([screen.focused, screen.captured], [true, 7]);
  frames.forEach((frame) => frame());
  assert.deepEqual(taken(), [], "the move was sent already");
});

test("a second button while a first is held is a press and a release of its own", (context) => {
  const { happen, taken } = captured(context);
  happen("pointerdown", { ...MIDDLE, button: 0, buttons: 1 });
  happen("pointermove", { ...MIDDLE, button: 2, buttons: 3 });
  happen("pointermove", { ...MIDDLE, button: 2, buttons: 1 });
  happen("pointerup", { ...MIDDLE, button: 0, buttons: 0 });
  assert.deepEqual(
    taken().map(({ event }) => [event.event, event.button, event.buttons]),
    [
      ["pointerdown", 0, 1],
      ["pointerdown", 2, 3],
      ["pointerup", 2, 1],
      ["pointerup", 0, 0],
    ],
  );
});

test("a pen's eraser stays within what backends take", (context) => {
  const { happen, taken } = captured(context);
  happen("pointerdown", { ...MIDDLE, button: 5, buttons: 32 });
  assert.deepEqual(
    taken().map(({ event }) => [event.button, event.buttons]),
    [[0, 0]],
  );
});

test("only the first of several fingers counts", (context) => {
  const { happen, taken } = captured(context);
  for (const type of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
    happen(type, { ...MIDDLE, isPrimary: false, button: 0, buttons: 1 });
  }
  assert.deepEqual(taken(), []);
});

test("a pointer that is lost while pressed releases everything, and only then", (context) => {
  const { happen, taken } = captured(context);
  happen("pointerdown", { ...MIDDLE, button: 0, buttons: 1 });
  happen("lostpointercapture");
  happen("lostpointercapture");
  assert.deepEqual(
    taken().map(({ event }) => event.event),
    ["pointerdown", "blur"],
  );
  happen("pointercancel");
  assert.deepEqual(taken(), [{ channel: "action", event: { event: "blur" } }]);
});

test("wheels count in pixels, whatever they count in, within bounds", (context) => {
  const { happen, taken } = captured(context);
  assert.equal(happen("wheel", { ...MIDDLE, deltaMode: 0, deltaX: 1, deltaY: -3 }), false);
  happen("wheel", { ...MIDDLE, deltaMode: 1, deltaX: 0, deltaY: 2 });
  happen("wheel", { ...MIDDLE, deltaMode: 2, deltaX: -900, deltaY: 900 });
  assert.deepEqual(
    taken().map(({ event }) => [event.dx, event.dy]),
    [
      [1, -3],
      [0, 32],
      [-10000, 10000],
    ],
  );
});

test("keys go to the application and not to the page", (context) => {
  const { happen, taken } = captured(context);
  assert.equal(happen("keydown", { code: "KeyA", key: "A", repeat: false, shiftKey: true }), false);
  assert.equal(happen("keyup", { code: "KeyA", key: "a", repeat: false }), false);
  assert.deepEqual(
    taken().map(({ event }) => event),
    [
      { event: "keydown", code: "KeyA", key: "A", repeat: false, modifiers: 1 },
      { event: "keyup", code: "KeyA", key: "a", repeat: false, modifiers: 0 },
    ],
  );
  assert.equal(happen("contextmenu"), false);
});

test("what the browser needs stays with it", (context) => {
  const { happen, taken } = captured(context);
  for (const key of ["Tab", "F5", "F11", "F12"]) {
    assert.equal(happen("keydown", { code: key, key, repeat: false }), true);
    assert.equal(happen("keyup", { code: key, key, repeat: false }), true);
  }
  assert.equal(happen("keydown", { code: "KeyA", key: "Process", isComposing: true }), true);
  assert.deepEqual(taken(), []);
});

test("shift and Escape leave the picture; Escape alone goes to the application", (context) => {
  const { happen, screen, taken } = captured(context);
  screen.focus();
  happen("keydown", { code: "Escape", key: "Escape", repeat: false });
  assert.equal(screen.focused, true);
  happen("keydown", { code: "Escape", key: "Escape", repeat: false, shiftKey: true });
  assert.equal(screen.focused, false);
  assert.deepEqual(
    taken().map(({ event }) => event.event),
    ["keydown", "blur"],
  );
});

test("no key stays down: a blur releases all, a key up that was no key down is not sent", (context) => {
  const { happen, taken } = captured(context);
  happen("keydown", { code: "KeyW", key: "w", repeat: false });
  happen("blur");
  happen("keyup", { code: "KeyW", key: "w", repeat: false });
  assert.deepEqual(
    taken().map(({ event }) => event.event),
    ["keydown", "blur"],
  );
});

test("the release of Meta releases the keys that macOS says nothing more of", (context) => {
  const { happen, taken } = captured(context);
  happen("keydown", { code: "MetaLeft", key: "Meta", repeat: false, metaKey: true });
  happen("keydown", { code: "KeyC", key: "c", repeat: false, metaKey: true });
  happen("keyup", { code: "MetaLeft", key: "Meta", repeat: false });
  assert.deepEqual(
    taken().map(({ event }) => [event.event, event.code]),
    [
      ["keydown", "MetaLeft"],
      ["keydown", "KeyC"],
      ["keyup", "MetaLeft"],
      ["keyup", "KeyC"],
    ],
  );
});

test("after the end nothing is captured", (context) => {
  const { happen, lifetime, screen, frames, taken } = captured(context);
  assert.deepEqual([screen.tabIndex, screen.style.touchAction], [0, "none"]);
  happen("pointermove", { ...MIDDLE, button: -1, buttons: 0 });
  lifetime.abort();
  frames.forEach((frame) => frame());
  for (const type of ["pointerdown", "wheel", "keydown", "blur"]) {
    assert.equal(happen(type, MIDDLE), true);
  }
  assert.deepEqual(taken(), []);
});
