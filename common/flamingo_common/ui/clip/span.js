/**
 * Spans of time: the part of a clip that is in view, and the one that is selected. Pure.
 *
 * @typedef {{startS: number, endS: number}} Span
 */

import { formatClock } from "../shared/format.js";

const MIN_SPAN_S = 0.5;

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

/** @param {Span} span for example 0:05.2–0:11.0 */
export const formatSpan = ({ startS, endS }) => `${formatTenths(startS)}–${formatTenths(endS)}`;

/** @param {number} seconds */
const formatTenths = (seconds) => {
  const tenths = Math.round(seconds * 10);
  return `${formatClock(Math.floor(tenths / 10))}.${tenths % 10}`;
};
