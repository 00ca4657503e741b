/**
 * An embedding as a matrix, a heat map and a `.npy` file. Pure, except for `drawHeatmap`.
 *
 * @typedef {{bytes: Uint8Array, values: Float32Array, rows: number, columns: number}} Matrix
 *   Row-major; `bytes` are the values as little-endian float32.
 */

import { colorOf } from "../shared/color_scale.js";

const MAX_WIDTH = 1200;
const MAX_HEIGHT = 320;
const SPREAD = 2.5; // the color scale covers this many standard deviations on either side

/**
 * @param {import("../server/api.js").Embedding} embedding
 * @returns {Matrix}
 */
export function decodeMatrix({ embedding, shape }) {
  const [rows, columns] = shape;
  const bytes = typeof embedding === "string" ? fromBase64(embedding) : fromRows(embedding);
  if (bytes.length !== rows * columns * 4) {
    throw new Error(`The embedding does not match its shape: ${bytes.length} bytes for ${rows} × ${columns} values.`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(rows * columns);
  for (let index = 0; index < values.length; index += 1) {
    values[index] = view.getFloat32(index * 4, true);
  }
  return { bytes, values, rows, columns };
}

/** @param {string} text */
function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** @param {number[][]} rows */
function fromRows(rows) {
  const values = rows.flat();
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return new Uint8Array(view.buffer);
}

/**
 * Encode as NumPy's .npy, version 1.0: magic, header length, header padded to 64 bytes, values.
 * @param {Matrix} matrix
 * @returns {Blob}
 */
export function encodeNpy({ bytes, rows, columns }) {
  const shape = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const prefix = 10;
  const header = shape.padEnd(Math.ceil((prefix + shape.length + 1) / 64) * 64 - prefix - 1) + "\n";
  const start = new Uint8Array(prefix);
  start.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0]);
  new DataView(start.buffer).setUint16(8, header.length, true);
  return new Blob([start, header, /** @type {BlobPart} */ (bytes)], {
    type: "application/octet-stream",
  });
}

/**
 * Draw time from left to right and dimensions from top to bottom.
 *
 * Dimensions differ in mean and spread far more than one dimension varies over time, so each is
 * standardized: otherwise the variation would be invisible.
 * @param {HTMLCanvasElement} canvas
 * @param {Matrix} matrix
 */
export function drawHeatmap(canvas, matrix) {
  canvas.width = Math.min(matrix.rows, MAX_WIDTH);
  canvas.height = Math.min(matrix.columns, MAX_HEIGHT);
  const cells = cellMeans(standardize(matrix), matrix, canvas);
  // Averaging within a pixel shrinks the spread, so contrast is relative to what is left.
  const contrast = Math.sqrt(cells.reduce((sum, cell) => sum + cell * cell, 0) / cells.length) || 1;
  const pixels = new ImageData(canvas.width, canvas.height);
  cells.forEach((cell, index) => pixels.data.set(colorOf(0.5 + cell / contrast / (2 * SPREAD)), index * 4));
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

/**
 * @param {Matrix} matrix
 * @returns {Float32Array} columns with mean 0 and standard deviation 1; a single row as a whole.
 */
function standardize({ values, rows, columns }) {
  const isSingleRow = rows === 1;
  const [num, stride, groups] = isSingleRow ? [columns, 1, 1] : [rows, columns, columns];
  const out = new Float32Array(values.length);
  for (let group = 0; group < groups; group += 1) {
    let sum = 0;
    let squares = 0;
    for (let step = 0; step < num; step += 1) {
      const value = values[group + step * stride];
      sum += value;
      squares += value * value;
    }
    const mean = sum / num;
    const deviation = Math.sqrt(Math.max(squares / num - mean * mean, 1e-12));
    for (let step = 0; step < num; step += 1) {
      out[group + step * stride] = (values[group + step * stride] - mean) / deviation;
    }
  }
  return out;
}

/**
 * The mean of the values that share a pixel, for each pixel.
 * @param {Float32Array} values
 * @param {Matrix} matrix
 * @param {{width: number, height: number}} canvas
 */
function cellMeans(values, { rows, columns }, { width, height }) {
  const sums = new Float32Array(width * height);
  const counts = new Uint32Array(width * height);
  for (let row = 0; row < rows; row += 1) {
    const x = Math.floor((row * width) / rows);
    for (let column = 0; column < columns; column += 1) {
      const cell = Math.floor((column * height) / columns) * width + x;
      sums[cell] += values[row * columns + column];
      counts[cell] += 1;
    }
  }
  return sums.map((sum, cell) => sum / counts[cell]);
}

/**
 * Draw a square of cosines, time from left to right and from top to bottom.
 * @param {HTMLCanvasElement} canvas
 * @param {{size: number, values: Float32Array}} similarity
 */
export function drawSimilarity(canvas, { size, values }) {
  canvas.width = canvas.height = size;
  const pixels = new ImageData(size, size);
  values.forEach((value, index) => pixels.data.set(colorOf((value + 1) / 2), index * 4));
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}
