/** The waveform of a clip as mirrored bars, those that were played in the accent color. */

import { peakBetween } from "./decoded_audio.js";

const BAR_PX = 3;
const GAP_PX = 2;

/**
 * @param {import("./decoded_audio.js").DecodedAudio | null} audio null: a flat line
 * @param {import("./span.js").Span} view
 * @param {number} width in pixels
 * @returns {number[]} the height of each bar, from 0 to 1: the highest of the view is 1.
 */
export function decodedPeaks(audio, view, width) {
  const numBars = Math.max(1, Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX)));
  if (!audio) return Array.from({ length: numBars }, () => 0);
  const stepS = (view.endS - view.startS) / numBars;
  const peaks = Array.from({ length: numBars }, (_, bar) =>
    peakBetween(audio, view.startS + bar * stepS, view.startS + (bar + 1) * stepS));
  const highest = Math.max(...peaks) || 1;
  return peaks.map((peak) => peak / highest);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{peaks: number[], played: number, width: number, height: number, colors: string[]}} picture
 *   `played` is the fraction of the view; the color of what was played is the first
 */
export function drawBars(context, { peaks, played, height, colors }) {
  peaks.forEach((peak, bar) => {
    const barHeight = Math.max(2, peak * height);
    context.fillStyle = colors[bar / peaks.length < played ? 0 : 1];
    context.beginPath();
    context.roundRect(bar * (BAR_PX + GAP_PX), (height - barHeight) / 2, BAR_PX, barHeight, BAR_PX / 2);
    context.fill();
  });
}

/**
 * Set the canvas to the screen's resolution, and clear it.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2D} context
 */
export function fitToScreen(canvas, context) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  return { width, height };
}
