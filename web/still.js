/**
 * The last picture of a video, held while nothing comes.
 */

/**
 * Show the present picture in place of the video's stream, until `showNoStill`.
 *
 * @param {HTMLVideoElement} video
 */
export function holdStill(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext("2d");
  if (context === null || canvas.width === 0) {
    return;
  }
  try {
    context.drawImage(video, 0, 0);
    video.poster = canvas.toDataURL("image/jpeg", 0.8);
  } catch {
    // a picture that may not be read, or is too large: it is dark then
  }
}

/** @param {HTMLVideoElement} video */
export function showNoStill(video) {
  video.removeAttribute("poster");
}
