/**
 * The token that admits a viewer to a session: how it comes by a page's fragment, how long it lives, how it is renewed.
 *
 * It stays in memory. A fragment is not sent to any server, but it is in the history and on the screen, so it is taken
 * out of the address at once.
 */

const RENEW_AFTER = 2 / 3;
const RETRY_MS = 30_000;
const MAX_TIMER_MS = 2 ** 31 - 1;
/** The broker will not give a token to this viewer any more, however often it is asked. */
const FINAL_STATUSES = [401, 403, 404, 405, 410, 422];

/**
 * @param {string} hash  a page's fragment, such as `#session=<id>&token=<token>`
 * @returns {{session: string | null, token: string | null, rest: string}} `rest` is the fragment without the token
 */
export function readFragment(hash) {
  const parameters = new URLSearchParams(hash.slice(1));
  const id = parameters.get("session") ?? "";
  const session = /^[0-9a-f-]{36}$/.test(id) ? id : null;
  const token = parameters.get("token") ?? "";
  return { session, token: isToken(token) ? token : null, rest: session === null ? "" : `#session=${session}` };
}

/**
 * @param {unknown} value
 * @returns {value is string} whether it may stand in a WebSocket's sub-protocol, as a signed token does
 */
export function isToken(value) {
  return typeof value === "string" && /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(value);
}

/**
 * @param {string} token
 * @returns {number | null} when it expires, in milliseconds since the epoch; null where it does not say
 */
export function expiryOf(token) {
  try {
    const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}

/**
 * Renew a token again and again, in good time, until `signal` aborts or the broker gives none any more.
 *
 * @param {{brokerUrl: string | URL, sessionId: string, token: string}} from
 * @param {(token: string) => void} onToken  called with each new one
 * @param {AbortSignal} signal
 */
export async function keepRenewed({ brokerUrl, sessionId, token }, onToken, signal) {
  const base = String(brokerUrl).replace(/\/+$/, "");
  const url = `${base}/stream/${encodeURIComponent(sessionId)}/token`;
  for (let current = token; ; ) {
    const expiresAt = expiryOf(current);
    if (expiresAt === null || !(await pause((expiresAt - Date.now()) * RENEW_AFTER, signal))) {
      return;
    }
    let fresh = await renewed(url, current, signal);
    while (fresh === null && Date.now() < expiresAt) {
      if (!(await pause(RETRY_MS, signal))) {
        return;
      }
      fresh = await renewed(url, current, signal);
    }
    if (typeof fresh !== "string") {
      return;
    }
    current = fresh;
    onToken(current);
  }
}

/**
 * @param {string} url
 * @param {string} token
 * @param {AbortSignal} signal
 * @returns {Promise<string | false | null>} the new one; false where there will be none, null where it may be asked again
 */
async function renewed(url, token, signal) {
  try {
    const response = await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${token}` }, signal });
    if (FINAL_STATUSES.includes(response.status)) {
      return false;
    }
    const answer = await response.json();
    return isToken(answer.token) ? answer.token : null;
  } catch {
    return null;
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} false as soon as the signal aborts
 */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) {
      return resolve(false);
    }
    const timer = setTimeout(() => done(true), Math.min(MAX_TIMER_MS, Math.max(1000, milliseconds)));
    const abort = () => done(false);
    signal.addEventListener("abort", abort, { once: true });
    /** @param {boolean} elapsed */
    function done(elapsed) {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      resolve(elapsed);
    }
  });
}
