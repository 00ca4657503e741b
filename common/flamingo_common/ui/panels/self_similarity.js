/** How similar each moment of a clip is to each other one: its structure, as a square. Pure. */

const MAX_SIZE = 180;

/**
 * @param {import("./embedding_matrix.js").Matrix} matrix
 * @returns {{size: number, values: Float32Array}} row-major cosines from -1 to 1, of what differs
 *   from the mean of the clip: all frames of a song have much in common.
 */
export function selfSimilarity(matrix) {
  const size = Math.min(MAX_SIZE, matrix.rows);
  const vectors = normalize(pool(matrix, size), size, matrix.columns);
  const values = new Float32Array(size * size);
  for (let one = 0; one < size; one += 1) {
    for (let other = 0; other <= one; other += 1) {
      let sum = 0;
      for (let column = 0; column < matrix.columns; column += 1) {
        sum += vectors[one * matrix.columns + column] * vectors[other * matrix.columns + column];
      }
      values[one * size + other] = values[other * size + one] = sum;
    }
  }
  return { size, values };
}

/**
 * @param {import("./embedding_matrix.js").Matrix} matrix
 * @param {number} size
 * @returns {Float32Array} the means of `size` spans of time.
 */
function pool({ values, rows, columns }, size) {
  const sums = new Float32Array(size * columns);
  const counts = new Uint32Array(size);
  for (let row = 0; row < rows; row += 1) {
    const span = Math.floor((row * size) / rows);
    counts[span] += 1;
    for (let column = 0; column < columns; column += 1) {
      sums[span * columns + column] += values[row * columns + column];
    }
  }
  return sums.map((sum, index) => sum / counts[Math.floor(index / columns)]);
}

/**
 * @param {Float32Array} vectors
 * @param {number} size
 * @param {number} columns
 * @returns {Float32Array} the same without their mean, each of length 1.
 */
function normalize(vectors, size, columns) {
  const mean = new Float32Array(columns);
  vectors.forEach((value, index) => (mean[index % columns] += value / size));
  const centered = vectors.map((value, index) => value - mean[index % columns]);
  for (let row = 0; row < size; row += 1) {
    const vector = centered.subarray(row * columns, (row + 1) * columns);
    const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0)) || 1;
    vector.forEach((value, column) => (vector[column] = value / length));
  }
  return centered;
}
