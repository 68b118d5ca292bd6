/**
 * Points candidates to the relay, for backends whose signaling the relay could not read. Pure.
 */

const CANDIDATE = /^(a=)?candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ \S+/i;

/**
 * Point every UDP candidate of an answer to the relay's media port, one for each m-line, and leave out the others.
 * A candidate that names this port already was written by the relay and stays as it is.
 *
 * @param {string} sdp
 * @param {string} host  an IP address or a DNS name
 * @param {number} port
 * @returns {string}
 */
export function pointToRelay(sdp, host, port) {
  let told = false;
  return sdp
    .split("\r\n")
    .flatMap((line) => {
      if (line.startsWith("m=")) {
        told = false;
      }
      if (!line.startsWith("a=candidate:")) {
        return [line];
      }
      const pointed = told ? null : pointCandidate(line, host, port);
      told ||= pointed !== null;
      return pointed === null ? [] : [pointed];
    })
    .join("\r\n");
}

/**
 * @param {string} candidate  a candidate attribute, with or without `a=`
 * @param {string} host
 * @param {number} port
 * @returns {string | null} null for one that cannot go through the relay's media port
 */
export function pointCandidate(candidate, host, port) {
  const match = CANDIDATE.exec(candidate);
  if (match === null) {
    return null;
  }
  const [, prefix = "", foundation, component, transport, priority, , candidatePort] = match;
  if (transport?.toLowerCase() !== "udp" || component !== "1") {
    return null;
  }
  if (Number(candidatePort) === port) {
    return candidate;
  }
  return `${prefix}candidate:${foundation} 1 ${transport} ${priority} ${host} ${port} typ host`;
}
