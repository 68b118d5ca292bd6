/**
 * What the broker tells an operator, in words and figures. Pure.
 */

/**
 * @typedef {object} SessionRow
 * @property {string} id
 * @property {string} owner
 * @property {string} application
 * @property {string} version
 * @property {string} profile
 * @property {string} state
 * @property {string | null} phase
 * @property {string} message
 * @property {boolean} viewer_present
 * @property {string} created_at
 * @property {{at: string, reason: string} | null} alarm
 * @property {{position: number, eta_s: number | null} | null} queue
 *
 * @typedef {{profile: string, name: string, used: number, total: number, queued: number}} SlotRow
 * @typedef {{id: string, host: string, capacity: number, sessions: number, draining: boolean}} RelayRow
 *
 * @typedef {object} History
 * @property {number[]} created
 * @property {number[]} live
 * @property {number[]} queued
 * @property {Record<string, number[]>} ended  by reason
 *
 * @typedef {object} Data
 * @property {string} now
 * @property {string} version
 * @property {number} count
 * @property {SessionRow[]} sessions
 * @property {SlotRow[]} slots
 * @property {RelayRow[]} relays
 * @property {Record<string, number>} traffic  bytes by direction, since the relay began
 * @property {History} history
 *
 * @typedef {{name: string, value: string, of?: string, level?: "warn"}} Tile
 */

const MINUTES = 60;

const KIND_OF_REASON = new Map(
  Object.entries({
    deleted: "asked",
    never_connected: "clock",
    disconnected: "clock",
    idle: "clock",
    max_length: "clock",
    max_stopped: "clock",
    queue_timeout: "clock",
  }),
);

/** @param {string} reason  why a session ended */
export function kindOf(reason) {
  return KIND_OF_REASON.get(reason) ?? "fault";
}

/** @param {string} name  such as never_connected */
export function words(name) {
  return name.replaceAll("_", " ");
}

/**
 * @param {number} seconds
 * @returns {string} such as "3 min", in two units at most
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) {
    return `${whole} s`;
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 120) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * @param {string} earlier
 * @param {string} later
 */
export function secondsBetween(earlier, later) {
  return (Date.parse(later) - Date.parse(earlier)) / 1000;
}

/**
 * @param {Data} data
 * @param {number | null} bitsPerS  to viewers
 * @returns {Tile[]}
 */
export function tilesOf(data, bitsPerS) {
  const [used, total] = [sum(data.slots.map((slot) => slot.used)), sum(data.slots.map((slot) => slot.total))];
  const queued = sum(data.slots.map((slot) => slot.queued));
  const serving = data.relays.filter((relay) => !relay.draining);
  const [carried, capacity] = [sum(data.relays.map((relay) => relay.sessions)), sum(serving.map((relay) => relay.capacity))];
  return [
    { name: "Sessions", value: String(data.count) },
    { name: "Watched now", value: String(data.sessions.filter((session) => session.viewer_present).length) },
    { name: "Slots used", value: String(used), of: String(total), ...(used >= total && total > 0 ? WARN : {}) },
    { name: "Waiting for a slot", value: String(queued), ...(queued > 0 ? WARN : {}) },
    { name: "On relays", value: String(carried), of: String(capacity), ...(carried >= capacity ? WARN : {}) },
    { name: "Mbit/s to viewers", value: bitsPerS === null ? "–" : (bitsPerS / 1e6).toFixed(1) },
  ];
}

/** @type {{level: "warn"}} */
const WARN = { level: "warn" };

/**
 * @param {SessionRow} session
 * @param {string} filter
 */
export function isMeant(session, filter) {
  const { id, owner, application, profile, state, phase } = session;
  const text = [id, owner, application, profile, state, phase].join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/**
 * @param {History} history
 * @returns {{name: string, kind: string, values: number[], count: number}[]} those asked for first, faults last
 */
export function endings(history) {
  const order = ["asked", "clock", "fault"];
  return Object.entries(history.ended)
    .map(([name, values]) => ({ name, kind: kindOf(name), values: hourOf(values), count: sum(values) }))
    .sort((one, other) => order.indexOf(one.kind) - order.indexOf(other.kind) || other.count - one.count);
}

/**
 * @param {number[]} values  minute by minute, as far back as the broker knows
 * @returns {number[]} a whole hour
 */
export function hourOf(values) {
  return [...Array(Math.max(0, MINUTES - values.length)).fill(0), ...values.slice(-MINUTES)];
}

/** Bits per second out of byte counts that only rise; a relay that began anew starts over. */
export class Rate {
  /** @type {{bytes: number, at: number} | null} */
  #last = null;

  /**
   * @param {number | undefined} bytes
   * @param {number} at  in milliseconds
   * @returns {number | null} none for the first count
   */
  add(bytes, at) {
    const last = this.#last;
    if (bytes === undefined) {
      return null;
    }
    this.#last = { bytes, at };
    return last === null || bytes < last.bytes || at <= last.at ? null : ((bytes - last.bytes) * 8000) / (at - last.at);
  }
}

/** @param {number[]} values */
export function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
