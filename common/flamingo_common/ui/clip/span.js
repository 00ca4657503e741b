/**
 * Spans of time: the part of a clip that is in view, and the one that is selected. Pure.
 *
 * @typedef {{startS: number, endS: number}} Span
 */

import { formatClock } from "../shared/format.js";

const MIN_SPAN_S = 0.5;
const NOT_A_TIME = "Write a time as seconds, or as minutes:seconds, such as 1:05.2";

/**
 * @param {Span} view
 * @param {number} factor above 1 shows more
 * @param {number} centerS stays where it is
 * @param {number} lengthS of the clip
 * @returns {Span}
 */
export function zoom(view, factor, centerS, lengthS) {
  const width = view.endS - view.startS;
  const zoomed = Math.min(lengthS, Math.max(MIN_SPAN_S, width * factor));
  const share = width ? (centerS - view.startS) / width : 0;
  return shift(zoomed, centerS - share * zoomed, lengthS);
}

/**
 * @param {Span} view
 * @param {number} timeS
 * @param {number} lengthS
 * @returns {Span} the view; moved if `timeS` is outside, so that what follows it is in view.
 */
export function follow(view, timeS, lengthS) {
  if (timeS >= view.startS && timeS <= view.endS) return view;
  return shift(view.endS - view.startS, timeS, lengthS);
}

/**
 * @param {number} width
 * @param {number} startS
 * @param {number} lengthS
 * @returns {Span} inside of the clip
 */
export function shift(width, startS, lengthS) {
  const start = Math.max(0, Math.min(startS, lengthS - width));
  return { startS: start, endS: Math.min(lengthS, start + width) };
}

/**
 * @param {number} oneS
 * @param {number} otherS
 * @param {number} lengthS
 * @returns {Span | null} in order and inside of the clip; null if there is almost nothing between.
 */
export function spanBetween(oneS, otherS, lengthS) {
  const startS = Math.max(0, Math.min(oneS, otherS));
  const endS = Math.min(lengthS, Math.max(oneS, otherS));
  return endS - startS < MIN_SPAN_S / 5 ? null : { startS, endS };
}

/**
 * @param {string} startText empty: the beginning of the clip
 * @param {string} endText empty: the end of the clip
 * @param {number} lengthS of the clip; Infinity: unknown
 * @returns {Span | null} null: the whole clip
 * @throws {Error} if a text is not a time, or nothing is between them
 */
export function parseSpan(startText, endText, lengthS) {
  const startS = parseTime(startText) ?? 0;
  const endS = Math.min(parseTime(endText) ?? Infinity, lengthS);
  if (startS >= lengthS) throw new Error(`The clip is only ${formatTenths(lengthS)} long`);
  if (startS >= endS) throw new Error("The part has to end after it begins");
  return startS === 0 && endS === lengthS ? null : { startS, endS };
}

/**
 * @param {string} text seconds, minutes:seconds, or hours:minutes:seconds; with decimals or without
 * @returns {number | null} in seconds; null if there is no text
 * @throws {Error} if it is not a time
 */
function parseTime(text) {
  if (!text.trim()) return null;
  if (!/^(\d{1,5}:){0,2}\d{1,6}(\.\d+)?$/.test(text.trim())) throw new Error(NOT_A_TIME);
  return text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
}

/** @param {Span} span for example 0:05.2–0:11.0, or 0:05.2–end where the end is unknown */
export const formatSpan = ({ startS, endS }) =>
  `${formatTenths(startS)}–${Number.isFinite(endS) ? formatTenths(endS) : "end"}`;

/** @param {number} seconds for example 65.2, which is formatted as 1:05.2 */
export const formatTenths = (seconds) => {
  const tenths = Math.round(seconds * 10);
  return `${formatClock(Math.floor(tenths / 10))}.${tenths % 10}`;
};
