/**
 * The operator's page: asks for the data from time to time, and at once when an event tells of a change.
 */

import { BrokerError, parseJson, refusal } from "./broker-answers.js";
import { element, part, textElement } from "./dom.js";
import { followEvents } from "./events-client.js";
import { barChart, lineChart } from "./operator-charts.js";
import { Rate, endings, hourOf, sum, tilesOf, words } from "./operator-data.js";
import { SessionTable } from "./operator-sessions.js";

/** @typedef {import("./operator-data.js").Data} Data */

const REFRESH_MS = 5000;
/** Events come in swarms; the data is asked for this often at most. */
const SETTLE_MS = 700;
const MEDIA_POINTS = 120;
const RETRY_EVENTS_MS = 60_000;
const HOUR = "−60 min";

class OperatorPage {
  #base = new URL(location.pathname.replace(/(\bweb\/)?[^/]*$/, ""), location.origin).href.replace(/\/$/, "");
  #token = "";
  #timer = 0;
  #asking = false;
  #rate = new Rate();
  /** @type {number[]} */
  #media = [];
  /** @type {AbortController | null} */
  #events = null;
  #table = new SessionTable((id) => this.#end(id));

  open() {
    part(element("login", HTMLElement), "form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#token = element("token", HTMLInputElement).value.trim();
      this.#refresh();
    });
    element("forget-button", HTMLButtonElement).addEventListener("click", () => this.#login(""));
    document.addEventListener("visibilitychange", () => document.hidden || this.#refresh());
    this.#refresh();
  }

  /** @param {"login" | "board"} view */
  #show(view) {
    document.body.dataset.view = view;
  }

  /** @param {string} complaint  what was wrong with the token */
  #login(complaint) {
    this.#token = "";
    this.#stopEvents();
    clearTimeout(this.#timer);
    const error = element("login-error", HTMLElement);
    error.textContent = complaint;
    error.hidden = complaint === "";
    element("forget-button", HTMLButtonElement).hidden = true;
    element("state", HTMLElement).textContent = "";
    this.#table.clear();
    this.#show("login");
    const field = element("token", HTMLInputElement);
    field.value = "";
    field.focus();
  }

  async #refresh() {
    clearTimeout(this.#timer);
    if (this.#asking) {
      return;
    }
    this.#asking = true;
    try {
      this.#draw(/** @type {Data} */ (await this.#call("GET", "/operator/data")));
      this.#listen();
    } catch (error) {
      if (error instanceof BrokerError && [401, 403].includes(error.status)) {
        return this.#login(this.#token === "" ? "" : error.message);
      }
      this.#complain(error instanceof Error ? error.message : String(error));
    } finally {
      this.#asking = false;
    }
    this.#timer = window.setTimeout(() => this.#refresh(), REFRESH_MS);
  }

  /** Ask soon: something happened. */
  #refreshSoon() {
    if (!this.#asking && !document.hidden) {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#refresh(), SETTLE_MS);
    }
  }

  async #listen() {
    if (this.#events !== null) {
      return;
    }
    const events = new AbortController();
    this.#events = events;
    try {
      const options = { token: this.#token, signal: events.signal };
      for await (const event of followEvents(this.#base, options)) {
        event.type === "closing" || this.#refreshSoon();
      }
    } catch {
      // the data comes without them, only later
    }
    setTimeout(() => this.#events === events && (this.#events = null), RETRY_EVENTS_MS);
  }

  #stopEvents() {
    this.#events?.abort();
    this.#events = null;
  }

  /** @param {string} id */
  async #end(id) {
    try {
      await this.#call("DELETE", `/stream/${encodeURIComponent(id)}`);
    } catch (error) {
      if (!(error instanceof BrokerError) || ![404, 410].includes(error.status)) {
        this.#complain(error instanceof Error ? error.message : String(error));
      }
    }
    await this.#refresh();
  }

  /**
   * @param {string} method
   * @param {string} path
   * @returns {Promise<unknown>}
   */
  async #call(method, path) {
    let response, text;
    try {
      const headers = { Accept: "application/json", ...(this.#token ? { Authorization: `Bearer ${this.#token}` } : {}) };
      response = await fetch(this.#base + path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(20_000) });
      text = await response.text();
    } catch {
      throw new BrokerError(0, "The broker cannot be reached. What you see is what it was.");
    }
    if (!response.ok) {
      throw refusal(response.status, parseJson(text), null);
    }
    return parseJson(text);
  }

  /** @param {string} text */
  #complain(text) {
    const trouble = element("trouble", HTMLElement);
    trouble.textContent = text;
    trouble.hidden = false;
    this.#tellState("late", "Not up to date");
    this.#show("board");
  }

  /**
   * @param {string} state
   * @param {string} text
   */
  #tellState(state, text) {
    const line = element("state", HTMLElement);
    line.dataset.state = state;
    if (line.textContent !== text) {
      line.textContent = text;
    }
  }

  /** @param {Data} data */
  #draw(data) {
    const bitsPerS = this.#rate.add(data.traffic.to_client, performance.now());
    if (bitsPerS !== null) {
      this.#media = [...this.#media, bitsPerS / 1e6].slice(-MEDIA_POINTS);
    }
    element("trouble", HTMLElement).hidden = true;
    element("forget-button", HTMLButtonElement).hidden = this.#token === "";
    element("version", HTMLElement).textContent = data.version;
    this.#tellState("live", "Live");
    this.#drawTiles(data, bitsPerS ?? this.#media.at(-1) ?? null);
    this.#drawCharts(data);
    this.#table.draw(data);
    drawSlots(data);
    drawRelays(data);
    this.#show("board");
  }

  /**
   * @param {Data} data
   * @param {number | null} bitsPerS
   */
  #drawTiles(data, bitsPerS) {
    const tiles = tilesOf(data, bitsPerS).map(({ name, value, of, level }) => {
      const tile = document.createElement("div");
      const figure = textElement("dd", value);
      if (of !== undefined) {
        figure.append(textElement("small", ` of ${of}`));
      }
      tile.dataset.level = level ?? "";
      tile.append(textElement("dt", name), figure);
      return tile;
    });
    element("tiles", HTMLElement).replaceChildren(...tiles);
  }

  /** @param {Data} data */
  #drawCharts({ history, count, slots }) {
    drawLine("chart-live", hourOf(history.live), HOUR, count);
    drawLine("chart-queued", hourOf(history.queued), HOUR, sum(slots.map((slot) => slot.queued)));
    drawBars("chart-created", [{ name: "started", kind: "plain", values: hourOf(history.created) }], sum(history.created), []);
    const ended = endings(history);
    drawBars("chart-ended", ended, sum(ended.map((reason) => reason.count)), ended);
    element("chart-media", HTMLElement).hidden = this.#media.length === 0;
    const media = this.#media.map((value) => Math.round(value * 100) / 100);
    drawLine("chart-media", media, "opened", media.at(-1) ?? 0);
  }
}

/**
 * @param {string} id
 * @param {number[]} values
 * @param {string} past
 * @param {number} now
 */
function drawLine(id, values, past, now) {
  const { chart, top } = lineChart(values, `now ${now}, at most ${Math.max(0, ...values)}`);
  redraw(id, String(now), chart, top, past, []);
}

/**
 * @param {string} id
 * @param {import("./operator-charts.js").Series[]} series
 * @param {number} total
 * @param {{name: string, kind: string, count: number}[]} legend
 */
function drawBars(id, series, total, legend) {
  const told = legend.map(({ name, count }) => `${words(name)} ${count}`);
  const { chart, top } = barChart(series, [`${total} in the last hour`, ...told].join(", "));
  const items = legend.map(({ kind }, index) => {
    const item = textElement("li", told[index] ?? "");
    item.dataset.kind = kind;
    return item;
  });
  redraw(id, String(total), chart, top, HOUR, items);
}

/**
 * @param {string} id
 * @param {string} value
 * @param {Element} chart
 * @param {number} top
 * @param {string} past
 * @param {HTMLElement[]} legend
 */
function redraw(id, value, chart, top, past, legend) {
  const figure = element(id, HTMLElement);
  const caption = part(figure, "figcaption", HTMLElement);
  const name = caption.dataset.name ?? caption.textContent ?? "";
  caption.dataset.name = name;
  caption.replaceChildren(textElement("span", name), textElement("span", value));
  const axis = document.createElement("div");
  axis.className = "axis";
  axis.append(textElement("span", past), textElement("span", `top: ${top}`), textElement("span", "now"));
  const list = document.createElement("ul");
  list.className = "legend";
  list.append(...legend);
  figure.replaceChildren(caption, chart, axis, ...(legend.length > 0 ? [list] : []));
}

/** @param {Data} data */
function drawSlots({ slots }) {
  const rows = slots.map(({ profile, name, used, total, queued }) => {
    return rowOf([named(name, profile), metered(used, total), textElement("span", String(queued))]);
  });
  part(element("slots", HTMLTableElement), "tbody", HTMLTableSectionElement).replaceChildren(...rows);
}

/** @param {Data} data */
function drawRelays({ relays }) {
  const rows = relays.map(({ id, host, capacity, sessions, draining }) => {
    return rowOf([named(id, draining ? "draining" : ""), textElement("span", host), metered(sessions, capacity)]);
  });
  part(element("relays", HTMLTableElement), "tbody", HTMLTableSectionElement).replaceChildren(...rows);
}

/**
 * @param {string} name
 * @param {string} more
 */
function named(name, more) {
  const made = textElement("span", name);
  if (more !== "" && more !== name) {
    made.append(textElement("small", more));
  }
  return made;
}

/**
 * @param {number} used
 * @param {number} total
 */
function metered(used, total) {
  const made = document.createElement("span");
  made.className = "metered";
  const meter = document.createElement("meter");
  [meter.max, meter.high, meter.optimum, meter.value] = [Math.max(total, 1), Math.max(total, 1) * 0.85, 0, used];
  meter.setAttribute("aria-hidden", "true");
  made.append(meter, `${used} of ${total}`);
  return made;
}

/** @param {HTMLElement[]} cells */
function rowOf(cells) {
  const row = document.createElement("tr");
  for (const cell of cells) {
    const made = document.createElement("td");
    made.append(cell);
    row.append(made);
  }
  return row;
}

new OperatorPage().open();
