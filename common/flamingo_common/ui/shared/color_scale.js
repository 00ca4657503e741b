/** The colors of heat maps, from low to high. Pure. */

const COLORS = [
  [13, 15, 43], [58, 28, 97], [137, 38, 111], [207, 64, 96], [246, 128, 108], [254, 225, 195],
];

/**
 * @param {number} level from 0 to 1; others are limited to that
 * @returns {number[]} red, green, blue, opacity
 */
export function colorOf(level) {
  const position = Math.min(Math.max(level, 0), 1) * (COLORS.length - 1);
  const step = Math.min(Math.floor(position), COLORS.length - 2);
  const fraction = position - step;
  const mixed = COLORS[step].map((low, index) => low + (COLORS[step + 1][index] - low) * fraction);
  return [...mixed, 255];
}
