/**
 * The viewer page: lists applications, starts one, shows it, ends it.
 *
 * A running session stays in the page's fragment (`#session=<id>`), so that a reload finds it again.
 */

import { BrokerClient, BrokerError } from "./broker-client.js";
import { StreamConnection, StreamError } from "./stream-client.js";

/** @typedef {import("./broker-client.js").Application} Application */
/** @typedef {import("./broker-client.js").Session} Session */

const NOTICE_MS = 8000;
const END_TEXTS = /** @type {Record<string, string>} */ ({
  deleted: "It was ended on purpose.",
  never_connected: "Nobody connected to it in time.",
  disconnected: "Its viewer was away for too long.",
  idle: "There was no input for too long.",
  max_length: "It reached its maximum length.",
  start_timeout: "The application took too long to start.",
  backend_failed: "The application failed.",
});

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) {
    throw new Error(`The page has no ${type.name} #${id}.`);
  }
  return found;
}

class Page {
  #broker = new BrokerClient();
  #picture = element("picture", HTMLVideoElement);
  /** @type {Application[]} */
  #applications = [];
  /** @type {string | null} */
  #sessionId = null;
  /** @type {StreamConnection | null} */
  #stream = null;
  /** @type {AbortController | null} */
  #attempt = null;
  #elapsedTimer = 0;
  #statsTimer = 0;

  async open() {
    this.#on("reload-button", () => this.#showStart());
    this.#on("cancel-button", () => this.#leave());
    this.#on("end-button", () => this.#leave());
    this.#on("back-button", () => this.#showStart());
    this.#on("reconnect-button", () => this.#resume());
    this.#on("stats-button", () => this.#toggleStats());
    this.#on("full-screen-button", () => element("stage", HTMLElement).requestFullscreen());
    this.#sessionId = new URLSearchParams(location.hash.slice(1)).get("session");
    await (this.#sessionId === null ? this.#showStart() : this.#resume());
  }

  /**
   * @param {string} id
   * @param {() => unknown} action
   */
  #on(id, action) {
    element(id, HTMLButtonElement).addEventListener("click", action);
  }

  /** @param {"start" | "progress" | "live" | "ended"} view */
  #show(view) {
    document.body.dataset.view = view;
  }

  // The list of applications.

  async #showStart() {
    this.#forget();
    this.#show("start");
    this.#title("");
    const list = element("applications", HTMLUListElement);
    const [failure, reload] = [element("start-error", HTMLElement), element("reload-button", HTMLButtonElement)];
    list.setAttribute("aria-busy", "true");
    try {
      this.#applications = await this.#broker.applications();
      list.replaceChildren(...this.#applications.map((application) => this.#card(application)));
      failure.hidden = this.#applications.length > 0;
      failure.textContent = "The catalog of this broker has no application.";
    } catch (error) {
      list.replaceChildren();
      failure.hidden = false;
      failure.textContent = inWords(error);
    }
    reload.hidden = failure.hidden;
    list.setAttribute("aria-busy", "false");
  }

  /**
   * @param {Application} application
   * @returns {Node}
   */
  #card(application) {
    const template = element("application-card", HTMLTemplateElement);
    const card = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    const pick = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (card.querySelector(selector));
    pick("h3").textContent = application.name;
    pick(".description").textContent = application.description;
    pick(".tags").replaceChildren(...application.tags.map((tag) => textElement("li", tag)));
    pick(".stage-field").hidden = !application.tags.includes("usd");
    pick("button").setAttribute("aria-label", `Start ${application.name}`);
    pick("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
      const stage = String(form.get("usd_stage_uri") ?? "").trim();
      this.#start(application, stage === "" ? {} : { usd_stage_uri: stage });
    });
    return card;
  }

  // From a request to a picture.

  /**
   * @param {Application} application
   * @param {Record<string, string>} values
   */
  async #start(application, values) {
    const request = { id: application.id, profile: "default", version: "latest", arguments: values };
    await this.#prepare(`Starting ${application.name}`, application.name, (options) =>
      this.#broker.start(request, options),
    );
  }

  /** Connect to the session that the page knows of. */
  async #resume() {
    const id = this.#sessionId;
    if (id === null) {
      return this.#showStart();
    }
    await this.#prepare("Connecting", "", (options) => this.#broker.ready(id, options));
  }

  /**
   * @param {string} heading
   * @param {string} title
   * @param {(options: import("./broker-client.js").WaitOptions) => Promise<Session>} request
   */
  async #prepare(heading, title, request) {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#title(title);
    this.#show("progress");
    element("progress-heading", HTMLElement).textContent = heading;
    this.#tellPhase("Asking the broker");
    this.#countSeconds();
    try {
      const onProgress = (/** @type {Session} */ session) => {
        this.#remember(session.id);
        this.#tellPhase(session.status.message);
      };
      const session = await request({ signal: attempt.signal, onProgress });
      this.#remember(session.id);
      this.#tellPhase("Connecting to the stream");
      await this.#connect(session, attempt.signal);
    } catch (error) {
      if (!attempt.signal.aborted) {
        this.#showEnd(error);
      }
    } finally {
      clearInterval(this.#elapsedTimer);
    }
  }

  /**
   * @param {Session} session
   * @param {AbortSignal} signal
   */
  async #connect(session, signal) {
    if (session.route === null) {
      throw new BrokerError(502, "The broker gave no route to the session.");
    }
    const stream = new StreamConnection({
      sessionId: session.id,
      ...session.route,
      video: { width: 1280, height: 720, fps: 30 },
      videoElement: this.#picture,
      signal,
    });
    stream.addEventListener("notice", (event) => this.#notice(/** @type {CustomEvent} */ (event).detail));
    await stream.ready;
    this.#stream = stream;
    stream.addEventListener("end", (event) => this.#ended(/** @type {CustomEvent} */ (event).detail));
    this.#title(this.#applications.find((item) => item.id === session.application)?.name ?? session.application);
    this.#show("live");
    this.#picture.focus({ preventScroll: true });
    this.#statsTimer = window.setInterval(() => this.#drawStats(), 1000);
  }

  /** @param {string} text */
  #tellPhase(text) {
    element("phase", HTMLElement).textContent = text;
  }

  #countSeconds() {
    clearInterval(this.#elapsedTimer);
    const began = performance.now();
    const elapsed = element("elapsed", HTMLElement);
    elapsed.textContent = "0";
    this.#elapsedTimer = window.setInterval(() => {
      elapsed.textContent = String(Math.round((performance.now() - began) / 1000));
    }, 500);
  }

  // The live picture.

  /** @param {{level: string, message: string}} notice */
  #notice({ level, message }) {
    const line = textElement("p", message);
    line.dataset.level = level;
    const notices = element("notices", HTMLElement);
    notices.append(line);
    while (notices.children.length > 4) {
      notices.firstElementChild?.remove();
    }
    if (level !== "error") {
      setTimeout(() => line.remove(), NOTICE_MS);
    }
  }

  #toggleStats() {
    const stats = element("stats", HTMLElement);
    stats.hidden = !stats.hidden;
    element("stats-button", HTMLButtonElement).setAttribute("aria-pressed", String(!stats.hidden));
    this.#drawStats();
  }

  async #drawStats() {
    const list = element("stats", HTMLElement);
    const stream = this.#stream;
    if (list.hidden || stream === null || stream.state === "ended") {
      return;
    }
    const stats = await stream.stats();
    const rows = [
      ["Frames", `${stats.framesPerSecond.toFixed(1)} /s`],
      ["Bitrate", `${(stats.bitsPerSecond / 1e6).toFixed(2)} Mbit/s`],
      ["Picture", `${stats.width} × ${stats.height} ${stats.codec}`],
      ["Round trip", stats.roundTripMs === null ? "–" : `${stats.roundTripMs.toFixed(1)} ms`],
      ["Jitter", `${stats.jitterMs.toFixed(1)} ms`],
      ["Lost", `${stats.packetsLost} packets`],
    ];
    list.replaceChildren(...rows.flatMap(([name, value]) => [textElement("dt", name), textElement("dd", value)]));
  }

  // The end.

  /** @param {unknown} error */
  async #ended(error) {
    const id = this.#sessionId;
    const byItself = id !== null && error instanceof StreamError && error.code !== "closed";
    this.#showEnd(byItself ? await this.#reason(id, error) : error);
  }

  /**
   * What the broker says, if the session itself has ended; it may notice a moment after the stream did.
   *
   * @param {string} id
   * @param {unknown} error
   * @returns {Promise<unknown>}
   */
  async #reason(id, error) {
    for (const pauseMs of [0, 300, 700, 1000]) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      try {
        await this.#broker.get(id);
      } catch (answer) {
        return answer;
      }
    }
    return error;
  }

  /** @param {unknown} error */
  #showEnd(error) {
    clearInterval(this.#statsTimer);
    this.#stream = null;
    const gone = error instanceof BrokerError && [404, 410].includes(error.status);
    const started = this.#sessionId !== null;
    const heading = element("ended-heading", HTMLElement);
    heading.textContent = gone && started ? "The session has ended" : started ? "The stream stopped" : "It did not start";
    element("end-text", HTMLElement).textContent = inWords(error);
    element("reconnect-button", HTMLButtonElement).hidden = gone || !started;
    if (gone) {
      this.#remember(null);
    }
    this.#show("ended");
    heading.focus();
  }

  /** End the session, give its slot back, and list the applications again. */
  async #leave() {
    const id = this.#sessionId;
    this.#attempt?.abort();
    this.#stream?.close();
    try {
      if (id !== null) {
        await this.#broker.end(id);
      }
    } catch (error) {
      return this.#showEnd(error);
    }
    await this.#showStart();
  }

  #forget() {
    clearInterval(this.#statsTimer);
    this.#attempt?.abort();
    this.#attempt = null;
    this.#stream = null;
    this.#remember(null);
    element("notices", HTMLElement).replaceChildren();
    if (document.fullscreenElement !== null) {
      document.exitFullscreen();
    }
  }

  /** @param {string | null} sessionId */
  #remember(sessionId) {
    this.#sessionId = sessionId;
    history.replaceState(null, "", sessionId === null ? location.pathname : `#session=${sessionId}`);
  }

  /** @param {string} text */
  #title(text) {
    element("title", HTMLElement).textContent = text;
    document.title = text === "" ? "Pixelferry" : `${text} – Pixelferry`;
  }
}

/**
 * @param {string} tag
 * @param {string | undefined} text
 */
function textElement(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text ?? "";
  return made;
}

/**
 * @param {unknown} error
 * @returns {string}
 */
function inWords(error) {
  if (error instanceof BrokerError) {
    const reason = error.endReason === null ? undefined : END_TEXTS[error.endReason];
    return [reason, error.message].filter(Boolean).join(" ");
  }
  return error instanceof Error ? error.message : String(error);
}

await new Page().open();
