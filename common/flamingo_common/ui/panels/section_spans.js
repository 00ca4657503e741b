/**
 * Which time each section of an answer, and each line in it, takes. Pure.
 *
 * @typedef {{text: string, start_s: number | null, end_s: number | null}} Line
 * @typedef {{name: string | null, start_s: number | null, end_s: number | null, lines: Line[],
 *   description?: string}} Section
 * @typedef {{startS: number, endS: number}} Span
 */

/**
 * @param {{start_s: number | null, end_s: number | null}[]} items in the order of the answer
 * @param {number} lengthS of the clip; 0 if it is unknown
 * @returns {(Span | null)[]} null: the answer states no time for the item, or one behind the clip.
 *   What has no end lasts until the next item starts, or to the end of the clip.
 */
export function spansOf(items, lengthS) {
  const starts = items.map(({ start_s }) => start_s).filter((start) => start !== null).sort((a, b) => a - b);
  const last = Math.max(0, ...items.map(({ start_s, end_s }) => Math.max(start_s ?? 0, end_s ?? 0)));
  const limit = lengthS || last;
  return items.map(({ start_s, end_s }) => {
    if (start_s === null || start_s >= limit) return null;
    const next = starts.find((start) => start > start_s) ?? limit;
    const endS = end_s !== null && end_s > start_s ? end_s : next;
    return { startS: start_s, endS: Math.min(endS, limit) };
  });
}
