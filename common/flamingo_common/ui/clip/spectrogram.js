/**
 * The spectrogram of the part of a clip that is in view.
 *
 * It is computed in slices between frames: the content security policy, which requires trusted
 * types and allows none, refuses workers.
 */

import { colorOf } from "../shared/color_scale.js";
import { powerSpectrum } from "./fft.js";

const SIZE = 1024; // 64 ms at 16 kHz
const NUM_BANDS = 128;
const MIN_HZ = 60;
const RANGE_DB = 70; // below the loudest is the darkest color
const SLICE_MS = 12;

const spectrumAt = powerSpectrum(SIZE);

/**
 * @param {import("./decoded_audio.js").DecodedAudio} audio
 * @param {import("./span.js").Span} view
 * @param {number} width in pixels
 * @param {AbortSignal} signal
 * @returns {Promise<ImageData | null>} the highest frequency above; null if it was aborted.
 */
export async function computeSpectrogram(audio, view, width, signal) {
  const bands = new Float32Array(width * NUM_BANDS);
  const edges = bandEdges(audio.rateHz);
  for (let column = 0, untilMs = performance.now() + SLICE_MS; column < width; column += 1) {
    if (performance.now() > untilMs) {
      await new Promise((resolve) => setTimeout(resolve));
      if (signal.aborted) return null;
      untilMs = performance.now() + SLICE_MS;
    }
    const centerS = view.startS + ((column + 0.5) * (view.endS - view.startS)) / width;
    const from = Math.max(0, Math.round(centerS * audio.rateHz - SIZE / 2));
    bands.set(bandLevels(spectrumAt(audio.samples, from), edges), column * NUM_BANDS);
  }
  return draw(bands, width);
}

/**
 * @param {number} rateHz
 * @returns {number[]} the first bin of each band; their widths grow as those of musical intervals do.
 */
function bandEdges(rateHz) {
  const ratio = rateHz / 2 / MIN_HZ;
  return Array.from({ length: NUM_BANDS + 1 }, (_, band) => {
    const hertz = MIN_HZ * ratio ** (band / NUM_BANDS);
    return Math.min(SIZE / 2, Math.round((hertz * SIZE) / rateHz));
  });
}

/**
 * @param {Float32Array} powers
 * @param {number[]} edges
 */
function bandLevels(powers, edges) {
  return Float32Array.from({ length: NUM_BANDS }, (_, band) => {
    const bins = powers.subarray(edges[band], Math.max(edges[band] + 1, edges[band + 1]));
    return 10 * Math.log10(Math.max(1e-10, bins.reduce((max, power) => Math.max(max, power), 0)));
  });
}

/**
 * @param {Float32Array} bands decibels, a column after the other
 * @param {number} width
 */
function draw(bands, width) {
  const loudest = bands.reduce((max, level) => Math.max(max, level), -100);
  const image = new ImageData(width, NUM_BANDS);
  for (let column = 0; column < width; column += 1) {
    for (let band = 0; band < NUM_BANDS; band += 1) {
      const level = 1 + (bands[column * NUM_BANDS + band] - loudest) / RANGE_DB;
      image.data.set(colorOf(level), ((NUM_BANDS - 1 - band) * width + column) * 4);
    }
  }
  return image;
}
