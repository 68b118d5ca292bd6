/**
 * Keeps what is seen and what is done close together: nothing is buffered on its way in, nothing sent late.
 */

const MAX_BUFFERED_BYTES = 1 << 20;

/**
 * Interactive pictures are shown when they are there, without a buffer against jitter.
 *
 * @param {RTCRtpReceiver & {playoutDelayHint?: number}} receiver
 */
export function showAtOnce(receiver) {
  if ("jitterBufferTarget" in receiver) {
    receiver.jitterBufferTarget = 0;
  }
  if ("playoutDelayHint" in receiver) {
    receiver.playoutDelayHint = 0;
  }
}

/**
 * @param {RTCDataChannel} channel
 * @param {string} text
 * @returns {boolean} false where it is not open, or choked: input of seconds ago is of no use
 */
export function send(channel, text) {
  const open = channel.readyState === "open" && channel.bufferedAmount < MAX_BUFFERED_BYTES;
  if (open) {
    channel.send(text);
  }
  return open;
}
