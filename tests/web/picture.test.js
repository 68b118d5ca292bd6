import assert from "node:assert/strict";
import test from "node:test";

import { pictureBox, placeInPicture } from "../../web/picture.js";

const WIDE = { width: 1600, height: 900 };

test("a picture as wide as its box is flush with it", () => {
  const box = { left: 10, top: 20, width: 320, height: 180 };
  assert.deepEqual(pictureBox(box, WIDE), box);
});

test("bars above and below are no part of the picture", () => {
  const box = { left: 0, top: 0, width: 160, height: 190 };
  assert.deepEqual(pictureBox(box, WIDE), { left: 0, top: 50, width: 160, height: 90 });
  assert.deepEqual(placeInPicture({ x: 80, y: 95 }, box, WIDE), { x: 0.5, y: 0.5 });
  assert.deepEqual(placeInPicture({ x: 40, y: 10 }, box, WIDE), { x: 0.25, y: 0 });
  assert.deepEqual(placeInPicture({ x: 200, y: 189 }, box, WIDE), { x: 1, y: 1 });
});

test("bars at the sides are no part of the picture", () => {
  const box = { left: 100, top: 0, width: 260, height: 90 };
  assert.deepEqual(placeInPicture({ x: 150, y: 45 }, box, WIDE), { x: 0, y: 0.5 });
  assert.deepEqual(placeInPicture({ x: 230, y: 0 }, box, WIDE), { x: 0.5, y: 0 });
});

test("without a picture or a box yet, places are within bounds", () => {
  const unknown = { width: 0, height: 0 };
  assert.deepEqual(placeInPicture({ x: 5, y: 5 }, { left: 0, top: 0, width: 10, height: 10 }, unknown), { x: 0.5, y: 0.5 });
  assert.deepEqual(placeInPicture({ x: 5, y: 5 }, { left: 0, top: 0, width: 0, height: 0 }, WIDE), { x: 1, y: 1 });
});
