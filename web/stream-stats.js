/**
 * What arrives of a stream, out of a peer connection's statistics. Pure.
 */

/**
 * @typedef {object} StreamStats
 * @property {number} framesPerSecond
 * @property {number} framesDecoded
 * @property {number} framesDropped
 * @property {number} bitsPerSecond
 * @property {number} width
 * @property {number} height
 * @property {number | null} roundTripMs
 * @property {number} packetsLost
 * @property {number} jitterMs
 * @property {string} codec
 * @property {string | null} remoteAddress  of the selected candidate pair
 *
 * @typedef {{at: number, bytes: number, frames: number}} Sample  of the counters, `at` in milliseconds
 * @typedef {{[name: string]: any}} Entry
 * @typedef {{get(id: string): Entry | undefined, values(): IterableIterator<Entry>}} Report
 */

/**
 * @param {Report} report
 * @param {Sample | null} last  of the call before; rates are since then
 * @returns {{stats: StreamStats, sample: Sample}}
 */
export function readStats(report, last) {
  const entries = [...report.values()];
  const video = entries.find((entry) => entry.type === "inbound-rtp" && entry.kind === "video") ?? {};
  const pair = selectedPair(report, entries);
  const remote = pair === undefined ? undefined : report.get(pair.remoteCandidateId);
  const sample = { at: video.timestamp ?? 0, bytes: video.bytesReceived ?? 0, frames: video.framesDecoded ?? 0 };
  const seconds = last === null ? 0 : (sample.at - last.at) / 1000;
  const rate = (/** @type {"bytes" | "frames"} */ name) =>
    last === null || seconds <= 0 ? 0 : Math.max(0, sample[name] - last[name]) / seconds;
  return {
    sample,
    stats: {
      framesPerSecond: rate("frames"),
      framesDecoded: sample.frames,
      framesDropped: video.framesDropped ?? 0,
      bitsPerSecond: 8 * rate("bytes"),
      width: video.frameWidth ?? 0,
      height: video.frameHeight ?? 0,
      roundTripMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      packetsLost: video.packetsLost ?? 0,
      jitterMs: (video.jitter ?? 0) * 1000,
      codec: report.get(video.codecId)?.mimeType?.replace("video/", "") ?? "",
      remoteAddress: remote === undefined ? null : placeOf(remote),
    },
  };
}

/**
 * @param {Report} report
 * @param {Entry[]} entries
 * @returns {Entry | undefined}
 */
function selectedPair(report, entries) {
  const transport = entries.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId !== undefined);
  if (transport !== undefined) {
    return report.get(transport.selectedCandidatePairId);
  }
  // Firefox has no transport entry, and says `selected` of the pair.
  return entries.find((entry) => entry.type === "candidate-pair" && (entry.selected ?? entry.nominated) && entry.state === "succeeded");
}

/** @param {Entry} candidate */
function placeOf({ address, port }) {
  return String(address).includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
