/**
 * The figures that lie over the picture: what arrives, and what was wished for. Pure.
 */

import { isObject } from "./messages.js";

/**
 * @typedef {{width: number, height: number, fps: number}} VideoFormat
 *
 * @typedef {object} Delivered  what the backend says that it delivers (docs/protocol.md §2, `videoDelivered`)
 * @property {VideoFormat} wished
 * @property {VideoFormat} delivered
 * @property {"none" | "network" | "encoder"} limitedBy
 * @property {number} bitrate  bits per second, aimed at
 * @property {string} codec
 * @property {string} encoder
 */

const MAX_NAME_LENGTH = 40;
/** @type {ReadonlyMap<unknown, "none" | "network" | "encoder">} */
const LIMITS = new Map([["network", "network"], ["encoder", "encoder"]]);

/**
 * @param {import("./messages.js").ApplicationMessage} message
 * @returns {Delivered | null} null for another message, or one that makes no sense
 */
export function deliveredOf({ eventType, payload }) {
  const wished = formatOf(payload.wished);
  const delivered = formatOf(payload.delivered);
  if (eventType !== "videoDelivered" || wished === null || delivered === null) {
    return null;
  }
  return {
    wished,
    delivered,
    limitedBy: LIMITS.get(payload.limited_by) ?? "none",
    bitrate: countOf(payload.bitrate),
    codec: nameOf(payload.codec),
    encoder: nameOf(payload.encoder),
  };
}

/**
 * @param {import("./stream-stats.js").StreamStats} stats
 * @param {Delivered | null} told  null for backends that do not tell
 * @returns {[name: string, value: string][]}
 */
export function rowsOf(stats, told) {
  return [
    ...(told === null ? [] : deliveryRows(told)),
    ["Frames", `${stats.framesPerSecond.toFixed(0)} /s`],
    ["Bitrate", bitrateText(stats.bitsPerSecond, told)],
    ["Picture", `${stats.width} × ${stats.height} ${stats.codec}`],
    ["Round trip", stats.roundTripMs === null ? "–" : `${stats.roundTripMs.toFixed(0)} ms`],
    ["Jitter", `${stats.jitterMs.toFixed(0)} ms`],
    ["Lost", `${stats.packetsLost} packets`],
    ["Dropped", `${stats.framesDropped} frames`],
  ];
}

/**
 * @param {Delivered} told
 * @returns {[name: string, value: string][]}
 */
function deliveryRows({ wished, delivered, limitedBy, codec, encoder }) {
  const limit = { none: "nothing", network: "the network", encoder: "the encoder" }[limitedBy];
  return [
    ["Wished", formatText(wished)],
    ["Delivered", formatText(delivered)],
    ["Limited by", limit],
    ["Encoder", [codec, encoder].filter((name) => name !== "").join(", ") || "–"],
  ];
}

/** @param {VideoFormat} format */
function formatText({ width, height, fps }) {
  return `${width} × ${height}, ${fps} /s`;
}

/**
 * @param {number} bitsPerSecond
 * @param {Delivered | null} told
 */
function bitrateText(bitsPerSecond, told) {
  const target = told === null || told.bitrate === 0 ? "" : ` of ${(told.bitrate / 1e6).toFixed(1)}`;
  return `${(bitsPerSecond / 1e6).toFixed(2)}${target} Mbit/s`;
}

/**
 * @param {unknown} value
 * @returns {VideoFormat | null}
 */
function formatOf(value) {
  if (!isObject(value)) {
    return null;
  }
  const format = { width: countOf(value.width), height: countOf(value.height), fps: countOf(value.fps) };
  return Object.values(format).every((count) => count > 0) ? format : null;
}

/** @param {unknown} value */
function countOf(value) {
  return typeof value === "number" && Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0;
}

/** @param {unknown} value */
function nameOf(value) {
  return typeof value === "string" ? value.slice(0, MAX_NAME_LENGTH) : "";
}
