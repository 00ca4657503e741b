/**
 * What was measured of a clip, as a table, and beside the fields of a card.
 *
 * @typedef {{field: string, answer: any, measured: number | string | null, agrees: boolean | null,
 *   relation: string | null}} Comparison
 * @typedef {{tempo_bpm: number | null, beats_s: number[] | null, key: {name: string} | null,
 *   loudness_lufs: number | null, loudness_range_lu: number | null, true_peak_dbtp: number | null,
 *   reasons?: Record<string, string>}} Measured
 */

import { createElement } from "../shared/dom.js";

/** @type {[string, string, (measured: Measured) => string | undefined][]} label, field, text */
const ROWS = [
  ["tempo", "tempo_bpm", ({ tempo_bpm }) => withUnit(tempo_bpm, "BPM")],
  ["beats", "beats_s", ({ beats_s }) => beats_s?.length.toLocaleString("en")],
  ["key", "key", ({ key }) => key?.name],
  ["loudness", "loudness_lufs", ({ loudness_lufs }) => withUnit(loudness_lufs, "LUFS")],
  ["loudness range", "loudness_range_lu", ({ loudness_range_lu }) => withUnit(loudness_range_lu, "LU")],
  ["true peak", "true_peak_dbtp", ({ true_peak_dbtp }) => withUnit(true_peak_dbtp, "dBTP")],
];

/**
 * @param {Measured} measured
 * @returns {HTMLElement[]} terms and their values, or why there is none
 */
export function measuredRows(measured) {
  return ROWS.flatMap(([label, field, text]) => {
    const value = createElement("dd", "", text(measured) ?? `– (${measured.reasons?.[field] ?? "not measured"})`);
    return [createElement("dt", "", label), value];
  });
}

/**
 * @param {Comparison | undefined} found
 * @returns {HTMLElement[]} what to show after the value of a field
 */
export function comparisonParts(found) {
  if (!found || found.measured === null) return [];
  const measured = typeof found.measured === "number" ? found.measured.toFixed(1) : found.measured;
  const isOdd = found.agrees === false;
  const relation = isOdd && found.relation !== "other" ? ` (${found.relation})` : "";
  const sign = found.agrees === null ? "" : isOdd ? "≠ " : "= ";
  const shown = createElement("small", isOdd ? "measured disagrees" : "measured", ` ${sign}measured: ${measured}${relation}`);
  if (isOdd) shown.title = "The model and the measurement disagree; either may be wrong";
  return [shown];
}

/**
 * @param {number | null} value
 * @param {string} unit
 */
function withUnit(value, unit) {
  return value === null ? undefined : `${value.toFixed(1)} ${unit}`;
}
