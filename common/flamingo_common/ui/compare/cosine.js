/** How alike two vectors are. Pure. */

/**
 * @param {import("../panels/embedding_matrix.js").Matrix} matrix
 * @returns {Float64Array} the mean of its rows.
 */
export function meanVector({ values, rows, columns }) {
  const mean = new Float64Array(columns);
  values.forEach((value, index) => (mean[index % columns] += value / rows));
  return mean;
}

/**
 * @param {Float64Array} one
 * @param {Float64Array} other
 * @returns {number} from -1 to 1; 0 if one of them is zero.
 */
export function cosine(one, other) {
  const dot = (/** @type {Float64Array} */ left, /** @type {Float64Array} */ right) =>
    left.reduce((sum, value, index) => sum + value * right[index], 0);
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other)) || 0;
}
