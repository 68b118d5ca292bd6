/**
 * Where in the picture a point of the page lies, when the picture keeps its shape inside its element. Pure.
 */

/**
 * @typedef {{left: number, top: number, width: number, height: number}} Box  CSS pixels
 * @typedef {{width: number, height: number}} Size
 */

/**
 * @param {Box} box  the element's box on the page
 * @param {Size} picture  the picture's own size; 0 while it is unknown
 * @returns {Box} the part of the box that shows the picture (`object-fit: contain`)
 */
export function pictureBox(box, picture) {
  if (picture.width <= 0 || picture.height <= 0 || box.width <= 0 || box.height <= 0) {
    return box;
  }
  const scale = Math.min(box.width / picture.width, box.height / picture.height);
  const width = picture.width * scale;
  const height = picture.height * scale;
  return { left: box.left + (box.width - width) / 2, top: box.top + (box.height - height) / 2, width, height };
}

/**
 * @param {{x: number, y: number}} point  on the page, CSS pixels
 * @param {Box} box
 * @param {Size} picture
 * @returns {{x: number, y: number}} 0 to 1 across the picture; a point beside it counts as on its edge
 */
export function placeInPicture(point, box, picture) {
  const shown = pictureBox(box, picture);
  return {
    x: clamp((point.x - shown.left) / (shown.width || 1)),
    y: clamp((point.y - shown.top) / (shown.height || 1)),
  };
}

/** @param {number} value */
function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
