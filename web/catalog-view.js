/**
 * The page's list of applications: a card for each, with what can be chosen before it starts.
 */

import { element, option, part, textElement } from "./dom.js";

/** @typedef {import("./broker-client.js").Application} Application */
/** @typedef {import("./broker-client.js").BrokerClient} BrokerClient */
/** @typedef {import("./broker-client.js").StartRequest} StartRequest */

const DEFAULT_PROFILE = "default";
const HUES = 5;

/**
 * @param {Application} application
 * @param {BrokerClient} broker  is asked for versions and profiles
 * @param {(request: StartRequest) => void} onStart
 * @returns {Node}
 */
export function applicationCard(application, broker, onStart) {
  const template = element("application-card", HTMLTemplateElement);
  const card = part(/** @type {DocumentFragment} */ (template.content.cloneNode(true)), ".card", HTMLElement);
  const monogram = part(card, ".monogram", HTMLElement);
  monogram.textContent = monogramOf(application.name);
  monogram.dataset.hue = String(hueOf(application.id));
  part(card, "h3", HTMLElement).textContent = application.name;
  part(card, ".description", HTMLElement).textContent = application.description;
  part(card, ".tags", HTMLElement).replaceChildren(...application.tags.map((tag) => textElement("li", tag)));
  part(card, ".stage-field", HTMLElement).hidden = !showsStages(application);
  part(card, "form button", HTMLButtonElement).setAttribute("aria-label", `Start ${application.name}`);
  const form = part(card, "form", HTMLFormElement);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onStart(requestOf(application, new FormData(form)));
  });
  const version = part(card, "select[name=version]", HTMLSelectElement);
  version.addEventListener("change", () => offerProfiles(card, application, broker, version.value).catch(() => {}));
  offerVersions(card, application, broker).catch(() => {}); // then it starts in its defaults
  return card;
}

/**
 * @param {Application} application
 * @param {FormData} form
 * @returns {StartRequest}
 */
function requestOf(application, form) {
  const [stage, version, profile] = ["usd_stage_uri", "version", "profile"].map((name) => String(form.get(name) ?? "").trim());
  return {
    id: application.id,
    profile: profile || DEFAULT_PROFILE,
    version: version || "latest",
    arguments: stage ? { usd_stage_uri: stage } : {},
  };
}

/**
 * @param {HTMLElement} card
 * @param {Application} application
 * @param {BrokerClient} broker
 */
async function offerVersions(card, application, broker) {
  const versions = await broker.versions(application.id);
  const newest = versions.at(-1);
  if (newest === undefined) {
    return;
  }
  const select = part(card, "select[name=version]", HTMLSelectElement);
  select.replaceChildren(option("latest", "Default"), ...versions.map((version) => option(version, version)));
  part(card, ".version-field", HTMLElement).hidden = versions.length === 1;
  const only = part(card, ".version", HTMLElement);
  only.textContent = `Version ${newest}`;
  only.hidden = versions.length > 1;
  await offerProfiles(card, application, broker, newest);
}

/**
 * @param {HTMLElement} card
 * @param {Application} application
 * @param {BrokerClient} broker
 * @param {string} version
 */
async function offerProfiles(card, application, broker, version) {
  if (version === "latest") {
    return; // which one that is, the broker decides: the profiles offered stay
  }
  const profiles = await broker.profiles(application.id, version);
  const select = part(card, "select[name=profile]", HTMLSelectElement);
  const chosen = select.value || DEFAULT_PROFILE;
  select.replaceChildren(...profiles.map(({ id, name }) => option(id, name)));
  if (profiles.some(({ id }) => id === chosen)) {
    select.value = chosen;
  }
  part(card, ".profile-field", HTMLElement).hidden = profiles.length < 2;
}

/** @param {Application} application */
function showsStages({ id, tags }) {
  return [...tags, ...id.split(/[-_]/)].some((word) => word.toLowerCase() === "usd");
}

/** @param {string} name */
function monogramOf(name) {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  const letters = words.length > 1 ? words.slice(0, 2).map((word) => [...word][0]) : [...(words[0] ?? "?")].slice(0, 2);
  return letters.join("").toUpperCase();
}

/** @param {string} id */
function hueOf(id) {
  return [...id].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % HUES;
}
