/**
 * Points candidates to the relay, for backends whose signaling the relay could not read. Pure.
 */

const CANDIDATE = /^(a=)?candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ \S+/i;

/**
 * Point every UDP candidate of an answer to the relay's media port, and leave out the others.
 *
 * @param {string} sdp
 * @param {string} host  an IP address or a DNS name
 * @param {number} port
 * @returns {string}
 */
export function pointToRelay(sdp, host, port) {
  /** @type {Set<string>} */
  let told = new Set();
  return sdp
    .split("\r\n")
    .flatMap((line) => {
      if (line.startsWith("m=")) {
        told = new Set();
      }
      if (!line.startsWith("a=candidate:")) {
        return [line];
      }
      const fresh = pointCandidate(line, host, port).filter((pointed) => !told.has(addressOf(pointed)));
      fresh.forEach((pointed) => told.add(addressOf(pointed)));
      return fresh;
    })
    .join("\r\n");
}

/**
 * A candidate with the relay's port may be the relay's own, with the address where `host` leads: that one is kept
 * beside the one that names `host`, as Firefox resolves no DNS name and a relay may take media on another address.
 *
 * @param {string} candidate  a candidate attribute, with or without `a=`
 * @param {string} host
 * @param {number} port
 * @returns {string[]} none for one that cannot go through the relay's media port
 */
export function pointCandidate(candidate, host, port) {
  const match = CANDIDATE.exec(candidate);
  if (match === null) {
    return [];
  }
  const [, prefix = "", foundation, component, transport = "", priority, address = "", candidatePort] = match;
  if (transport.toLowerCase() !== "udp" || component !== "1") {
    return [];
  }
  const own = Number(candidatePort) === port;
  if (own && address.toLowerCase() === host.toLowerCase()) {
    return [candidate];
  }
  const pointed = `${prefix}candidate:${foundation} 1 ${transport} ${priority} ${host} ${port} typ host`;
  return own ? [candidate, pointed] : [pointed];
}

/** @param {string} candidate */
function addressOf(candidate) {
  const match = CANDIDATE.exec(candidate);
  return `${match?.[6]} ${match?.[7]}`.toLowerCase();
}
