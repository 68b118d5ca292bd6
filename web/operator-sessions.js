/**
 * The operator's table of sessions: rows stay where they are while their cells change, so that focus and selection do.
 */

import { element, part, textElement } from "./dom.js";
import { duration, isMeant, secondsBetween, words } from "./operator-data.js";

/** @typedef {import("./operator-data.js").Data} Data */
/** @typedef {import("./operator-data.js").SessionRow} SessionRow */

const LABELS = ["Session", "Owner", "Application", "State", "Viewers", "Age", "Next alarm", ""];

export class SessionTable {
  #body = part(element("sessions", HTMLTableElement), "tbody", HTMLTableSectionElement);
  #filter = element("filter", HTMLInputElement);
  #dialog = element("end-dialog", HTMLDialogElement);
  #end;
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();
  /** @type {Data | null} */
  #data = null;
  #asked = "";

  /** @param {(id: string) => Promise<void>} end */
  constructor(end) {
    this.#end = end;
    this.#filter.addEventListener("input", () => this.#data !== null && this.draw(this.#data));
    this.#dialog.addEventListener("close", () => this.#decided());
  }

  clear() {
    this.#rows.clear();
    this.#body.replaceChildren();
    this.#data = null;
    this.#dialog.open && this.#dialog.close("keep");
  }

  /** @param {Data} data */
  draw(data) {
    this.#data = data;
    const shown = data.sessions.filter((session) => isMeant(session, this.#filter.value.trim()));
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (!ids.has(id)) {
        row.remove();
        this.#rows.delete(id);
      }
    }
    for (const session of shown) {
      let row = this.#rows.get(session.id);
      if (row === undefined) {
        row = this.#newRow(session);
        this.#rows.set(session.id, row);
        this.#body.append(row);
      }
      fill(row, session, data.now);
    }
    const note = element("sessions-note", HTMLElement);
    const text = noteOf(shown.length, data);
    if (note.textContent !== text) {
      note.textContent = text;
    }
  }

  /** @param {SessionRow} session */
  #newRow(session) {
    const row = document.createElement("tr");
    for (const label of LABELS) {
      const cell = row.insertCell();
      cell.dataset.label = label;
    }
    const button = textElement("button", "End");
    button.setAttribute("type", "button");
    button.className = "end";
    button.setAttribute("aria-label", `End session ${session.id.slice(0, 8)} of ${session.owner}`);
    button.addEventListener("click", () => this.#ask(session));
    row.cells[LABELS.length - 1]?.append(button);
    return row;
  }

  /** @param {SessionRow} session */
  #ask({ id, application, owner }) {
    this.#asked = id;
    element("end-who", HTMLElement).textContent = `${application} of ${owner}, ${id}`;
    this.#dialog.returnValue = "keep";
    this.#dialog.showModal();
  }

  async #decided() {
    const [id, row] = [this.#asked, this.#rows.get(this.#asked)];
    const button = row?.querySelector("button");
    this.#asked = "";
    if (this.#dialog.returnValue !== "end" || id === "") {
      return;
    }
    button?.setAttribute("disabled", "");
    await this.#end(id);
    button?.removeAttribute("disabled");
  }
}

/**
 * @param {HTMLTableRowElement} row
 * @param {SessionRow} session
 * @param {string} now
 */
function fill(row, session, now) {
  const state = textElement("span", session.phase ?? session.state);
  state.className = "badge";
  state.dataset.state = session.state;
  const waits = session.queue === null ? "" : placeOf(session.queue);
  const cells = [
    [idOf(session.id)],
    [textElement("span", session.owner)],
    [textElement("span", session.application), textElement("small", [session.version, session.profile].join(" · "))],
    [state, textElement("small", waits || session.message)],
    [textElement("span", session.viewer_present ? "watching" : "none")],
    [textElement("span", duration(secondsBetween(session.created_at, now)))],
    session.alarm === null
      ? [textElement("span", "–")]
      : [textElement("span", words(session.alarm.reason)), textElement("small", `in ${duration(secondsBetween(now, session.alarm.at))}`)],
  ];
  for (const [index, content] of cells.entries()) {
    row.cells[index]?.replaceChildren(...content);
  }
}

/** @param {string} id */
function idOf(id) {
  const made = textElement("code", id.slice(0, 8));
  made.title = id;
  return made;
}

/** @param {{position: number, eta_s: number | null}} queue */
function placeOf({ position, eta_s }) {
  return `place ${position} in the queue${eta_s === null ? "" : `, about ${duration(eta_s)}`}`;
}

/**
 * @param {number} shown
 * @param {Data} data
 */
function noteOf(shown, { sessions, count }) {
  if (count === 0) {
    return "There is no session.";
  }
  const unlisted = count > sessions.length ? `, the oldest ${sessions.length} of ${count} are listed` : "";
  return shown === sessions.length && unlisted === "" ? "" : `${shown} shown${unlisted}`;
}
