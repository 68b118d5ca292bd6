/**
 * The viewer page: lists applications, starts one, shows it, ends it.
 *
 * A running session stays in the page's fragment (`#session=<id>`), so that a reload finds it again. A closed tab
 * leaves the session to the broker's grace: it can be come back to. A link may carry the session's admission token too
 * (`#session=<id>&token=<token>`): it is taken out of the address at once, and kept in memory alone.
 */

import { isToken, readFragment } from "./admission-token.js";
import { BrokerClient, BrokerError } from "./broker-client.js";
import { applicationCard } from "./catalog-view.js";
import { element } from "./dom.js";
import { LiveView } from "./live-view.js";
import { ProgressView } from "./progress-view.js";
import { drawEnding } from "./end-view.js";
import { LastingStream } from "./lasting-stream.js";
import { warningOf } from "./session-events.js";
import { StreamError } from "./stream-error.js";
import { WarningView } from "./warning-view.js";
import { CONNECTING, endingOf, progressText, stepOf } from "./words.js";

/** @typedef {import("./broker-client.js").Application} Application */
/** @typedef {import("./broker-client.js").Session} Session */
/** @typedef {import("./broker-client.js").StartRequest} StartRequest */
/** @typedef {import("./broker-client.js").WaitOptions} WaitOptions */

const VIDEO = { width: 1280, height: 720, fps: 30 };
/** An application may have nothing to show yet; what it says is to be read all the same. */
const FIRST_FRAME_MS = 5000;
/** The broker may notice a moment after the stream did. */
const ASK_FOR_REASON_AFTER_MS = [0, 300, 700, 1000, 2000];

class Page {
  #broker = new BrokerClient(brokerRoot());
  #live = new LiveView();
  #progress = new ProgressView();
  #warning = new WarningView(() => this.#broker.extend(this.#sessionId ?? ""));
  #picture = element("picture", HTMLVideoElement);
  /** @type {Application[]} */
  #applications = [];
  /** @type {string | null} */
  #sessionId = null;
  /** @type {StartRequest | null} */
  #lastRequest = null;
  /** @type {LastingStream | null} */
  #stream = null;
  /** @type {AbortController | null} */
  #attempt = null;

  async open() {
    this.#on("reload-button", () => this.#showStart());
    this.#on("cancel-button", () => this.#leave());
    this.#on("end-button", () => this.#leave());
    this.#on("give-up-button", () => this.#leave());
    this.#on("back-button", () => this.#showStart());
    this.#on("reconnect-button", () => this.#resume());
    this.#on("again-button", () => this.#lastRequest !== null && this.#start(this.#lastRequest));
    element("sign-in", HTMLFormElement).addEventListener("submit", (event) => this.#signIn(event));
    addEventListener("hashchange", () => this.#followFragment());
    this.#sessionId = this.#takeFragment();
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
    const before = document.body.dataset.view;
    document.body.dataset.view = view;
    if (view === "live") {
      this.#picture.focus({ preventScroll: true });
    } else if (before !== view) {
      element(`${view}-heading`, HTMLElement).focus({ preventScroll: true });
    }
  }

  /** @returns {string | null} the session that the address names; its token is in memory then, and nowhere else */
  #takeFragment() {
    const { session, token, rest } = readFragment(location.hash);
    if (token !== null) {
      history.replaceState(null, "", location.pathname + location.search + rest);
      this.#broker.accessToken = token;
    }
    return session;
  }

  /** A link to another session was followed in this tab. */
  #followFragment() {
    const id = this.#takeFragment();
    if (id === null || id === this.#sessionId) {
      return;
    }
    this.#forget();
    this.#sessionId = id;
    this.#resume();
  }

  // The list of applications.

  async #showStart() {
    this.#forget();
    this.#remember(null);
    this.#show("start");
    this.#title("");
    const list = element("applications", HTMLUListElement);
    const [failure, reload] = [element("start-error", HTMLElement), element("reload-button", HTMLButtonElement)];
    const signIn = element("sign-in", HTMLFormElement);
    list.setAttribute("aria-busy", "true");
    signIn.hidden = true;
    try {
      await this.#loadApplications();
      list.replaceChildren(
        ...this.#applications.map((item) => applicationCard(item, this.#broker, (request) => this.#start(request))),
      );
      failure.textContent = this.#applications.length > 0 ? "" : "The catalog of this broker has no application.";
    } catch (error) {
      const { text, advice } = endingOf(error, { started: false });
      list.replaceChildren();
      signIn.hidden = !(error instanceof BrokerError && error.status === 401);
      failure.textContent = signIn.hidden ? `${text} ${advice}` : text;
    }
    failure.hidden = failure.textContent === "";
    reload.hidden = failure.hidden || !signIn.hidden;
    list.setAttribute("aria-busy", "false");
  }

  /** @param {SubmitEvent} event */
  async #signIn(event) {
    event.preventDefault();
    const form = element("sign-in", HTMLFormElement);
    this.#broker.accessToken = String(new FormData(form).get("key") ?? "").trim();
    form.reset();
    await this.#showStart();
  }

  async #loadApplications() {
    this.#applications = await this.#broker.applications();
  }

  /** @param {string} applicationId */
  #nameOf(applicationId) {
    return this.#applications.find(({ id }) => id === applicationId)?.name ?? applicationId;
  }

  // From a request to a picture.

  /** @param {StartRequest} request */
  async #start(request) {
    this.#lastRequest = request;
    this.#sessionId = null;
    const name = this.#nameOf(request.id);
    await this.#prepare(`Starting ${name}`, name, (options) => this.#broker.start(request, options));
  }

  /** Connect to the session that the page knows of. */
  async #resume() {
    const id = this.#sessionId;
    if (id === null) {
      return this.#showStart();
    }
    if (this.#applications.length === 0) {
      this.#loadApplications().catch(() => {}); // for the name alone
    }
    await this.#prepare("Connecting", "", (options) => this.#broker.ready(id, options));
  }

  /**
   * @param {string} heading
   * @param {string} title
   * @param {(options: WaitOptions) => Promise<Session>} request
   */
  async #prepare(heading, title, request) {
    this.#forget();
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#title(title);
    this.#show("progress");
    this.#progress.begin(heading);
    try {
      const onProgress = (/** @type {Session} */ session) => {
        this.#remember(session.id), this.#progress.tell(stepOf(session.phase), progressText(session));
      };
      const session = await request({ signal: attempt.signal, onProgress, events: true });
      this.#remember(session.id);
      await this.#connect(session, attempt.signal);
    } catch (error) {
      if (!attempt.signal.aborted) {
        this.#showEnd(error);
      }
    } finally {
      if (this.#attempt === attempt) {
        this.#progress.stop();
      }
    }
  }

  /**
   * @param {Session} session
   * @param {AbortSignal} signal
   */
  async #connect(session, signal) {
    this.#progress.tell(CONNECTING, "Connecting to the stream");
    const stream = new LastingStream({
      broker: this.#broker,
      session,
      token: isToken(this.#broker.accessToken) ? this.#broker.accessToken : null,
      brokerUrl: brokerRoot(),
      video: VIDEO,
      videoElement: this.#picture,
      audio: true,
      signal,
    });
    this.#stream = stream;
    if (this.#broker.accessToken !== null && session.token === null) {
      stream.addEventListener("token", () => (this.#broker.accessToken = stream.token));
    }
    stream.addEventListener("session", (event) => this.#hear(/** @type {CustomEvent} */ (event).detail));
    this.#live.follow(stream);
    const firstFrame = new Promise((resolve) => stream.addEventListener("firstframe", resolve, { once: true }));
    const end = new Promise((_, reject) => {
      stream.addEventListener("end", (event) => reject(/** @type {CustomEvent} */ (event).detail));
    });
    end.catch(() => {}); // heard below
    await stream.ready;
    this.#progress.tell(CONNECTING, "Waiting for the first picture");
    await Promise.race([firstFrame, end, new Promise((resolve) => setTimeout(resolve, FIRST_FRAME_MS))]);
    stream.addEventListener("end", (event) => this.#ended(stream, /** @type {CustomEvent} */ (event).detail));
    this.#title(this.#nameOf(session.application));
    this.#show("live");
  }

  /** @param {import("./events-client.js").BrokerEvent} event */
  #hear({ type, data }) {
    if (type === "warning") {
      this.#warning.show(warningOf(data));
    }
  }

  // The end.

  /**
   * @param {LastingStream} stream
   * @param {unknown} error
   */
  async #ended(stream, error) {
    if (stream !== this.#stream || !(error instanceof Error) || (error instanceof StreamError && error.code === "closed")) {
      return; // the page itself went on to something else
    }
    const reason = error instanceof StreamError ? await this.#reason(error) : error;
    if (stream === this.#stream) {
      this.#showEnd(reason);
    }
  }

  /**
   * What the broker says, if the session itself has ended.
   *
   * @param {StreamError} error
   * @returns {Promise<unknown>}
   */
  async #reason(error) {
    const id = this.#sessionId;
    for (const pauseMs of id === null ? [] : ASK_FOR_REASON_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      try {
        await this.#broker.get(id ?? "");
      } catch (answer) {
        const tells = answer instanceof BrokerError && [404, 410].includes(answer.status);
        return tells ? answer : error;
      }
    }
    return error;
  }

  /** @param {unknown} error */
  #showEnd(error) {
    const ending = endingOf(error, { started: this.#sessionId !== null });
    this.#forget();
    if (ending.over) {
      this.#remember(null);
    }
    drawEnding(ending, { again: this.#lastRequest !== null });
    this.#show("ended");
  }

  /** End the session, give its slot back, and list the applications again. */
  async #leave() {
    const id = this.#sessionId;
    this.#forget();
    try {
      if (id !== null) {
        await this.#broker.end(id);
      }
    } catch (error) {
      const isAnothers = error instanceof BrokerError && [401, 403].includes(error.status);
      return this.#showEnd(isAnothers ? new StreamError("left", "The session goes on for whoever it belongs to.") : error);
    }
    await this.#showStart();
  }

  /** Let go of attempt and stream, not of the session. */
  #forget() {
    this.#progress.stop();
    this.#warning.show(null);
    const [attempt, stream] = [this.#attempt, this.#stream];
    this.#attempt = this.#stream = null;
    stream?.close();
    attempt?.abort();
    this.#live.clear();
    if (document.fullscreenElement !== null) {
      document.exitFullscreen().catch(() => {});
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

/** The broker serves this page at its root and below `web/`. */
function brokerRoot() {
  return new URL(location.pathname.replace(/(\bweb\/)?[^/]*$/, ""), location.origin);
}

await new Page().open();
