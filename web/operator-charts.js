/**
 * Small charts as SVG: a line over time, and bars that stack. Shapes are plain attributes, looks are the style sheet's.
 */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 240;
const HEIGHT = 80;

/** @typedef {{name: string, kind: string, values: number[]}} Series */

/**
 * @param {number[]} values  oldest first
 * @param {string} label  what the chart says to who does not see it
 */
export function lineChart(values, label) {
  const top = niceTop(values);
  const line = values.length === 1 ? [...values, ...values] : values;
  const points = line.map((value, index) => `${xOf(index, line.length)},${yOf(value, top)}`);
  const chart = svg(label);
  if (points.length > 0) {
    chart.append(shape("polygon", { class: "chart-area", points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` }));
    chart.append(shape("polyline", { class: "chart-line", points: points.join(" ") }));
  }
  chart.append(base());
  return { chart, top };
}

/**
 * @param {Series[]} series  all of the same length
 * @param {string} label
 */
export function barChart(series, label) {
  const length = Math.max(0, ...series.map(({ values }) => values.length));
  const sums = Array.from({ length }, (_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0));
  const top = niceTop(sums);
  const chart = svg(label);
  const step = WIDTH / Math.max(length, 1);
  for (let index = 0; index < length; index++) {
    let below = 0;
    for (const { kind, values } of series) {
      const value = values[index] ?? 0;
      if (value > 0) {
        const [y, height] = [yOf(below + value, top), (value / top) * HEIGHT];
        chart.append(
          shape("rect", { class: "chart-bar", "data-kind": kind, x: index * step, y, width: Math.max(step - 1, 0.5), height }),
        );
        below += value;
      }
    }
  }
  chart.append(base());
  return { chart, top };
}

/**
 * @param {number[]} values
 * @returns {number} a round number that none of them exceeds, never nothing
 */
export function niceTop(values) {
  const most = Math.max(0, ...values.filter(Number.isFinite));
  if (most <= 1) {
    return 1;
  }
  const size = 10 ** Math.floor(Math.log10(most));
  return (/** @type {number} */ ([1, 2, 5, 10].find((factor) => factor * size >= most))) * size;
}

/**
 * @param {number} index
 * @param {number} length
 */
function xOf(index, length) {
  return rounded((index / (length - 1)) * WIDTH);
}

/**
 * @param {number} value
 * @param {number} top
 */
function yOf(value, top) {
  return rounded(HEIGHT - (Math.min(Math.max(value, 0), top) / top) * HEIGHT);
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 100) / 100;
}

/** @param {string} label */
function svg(label) {
  const viewBox = `0 0 ${WIDTH} ${HEIGHT}`;
  return shape("svg", { viewBox, preserveAspectRatio: "none", role: "img", "aria-label": label });
}

function base() {
  return shape("line", { class: "chart-base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT });
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, String(value));
  }
  return made;
}
