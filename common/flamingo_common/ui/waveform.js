/**
 * A clip's outline on a canvas: decoded in the browser, drawn as mirrored bars,
 * those already played in the accent colour.
 */

const DRAW_RATE_HZ = 8000; // plenty for an outline, and an hour fits in memory
const MAX_DRAW_BYTES = 100 * 10 ** 6; // decoding takes tens of times the bytes of a file
const NUM_PEAKS = 2000;
const BAR_PX = 3;
const GAP_PX = 2;

/**
 * @param {File} file
 * @returns {Promise<{peaks: Float32Array, duration: number} | null>} null when this
 *   browser cannot decode the file; the server may well.
 */
export async function outline(file) {
  if (file.size > MAX_DRAW_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, DRAW_RATE_HZ);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    return { peaks: peaksOf(audio.getChannelData(0)), duration: audio.duration };
  } catch {
    return null;
  }
}

/**
 * @param {Float32Array} samples
 * @returns {Float32Array} the loudest moment of each part, the loudest of all being 1.
 */
export function peaksOf(samples) {
  const peaks = new Float32Array(Math.max(1, Math.min(NUM_PEAKS, samples.length)));
  const scale = peaks.length / Math.max(1, samples.length);
  samples.forEach((sample, index) => {
    const part = Math.min(peaks.length - 1, Math.floor(index * scale));
    peaks[part] = Math.max(peaks[part], Math.abs(sample));
  });
  const loudest = peaks.reduce((most, peak) => Math.max(most, peak), 0);
  return loudest > 0 ? peaks.map((peak) => peak / loudest) : peaks;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array | null} peaks null draws a quiet line
 * @param {number} played the part already played, 0 to 1
 */
export function draw(canvas, peaks, played) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = fitted(canvas, context);
  const style = getComputedStyle(canvas);
  const colours = [style.getPropertyValue("--accent"), style.getPropertyValue("--wave")];
  const numBars = Math.max(1, Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX)));
  for (let bar = 0; bar < numBars; bar += 1) {
    const tall = Math.max(2, heightOf(peaks, bar, numBars) * height);
    context.fillStyle = colours[bar / numBars < played ? 0 : 1];
    context.beginPath();
    context.roundRect(bar * (BAR_PX + GAP_PX), (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    context.fill();
  }
}

/**
 * Match the canvas's pixels to the screen's, and clear it.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2D} context
 */
function fitted(canvas, context) {
  const ratio = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  return { width, height };
}

/**
 * @param {Float32Array | null} peaks
 * @param {number} bar
 * @param {number} numBars
 */
function heightOf(peaks, bar, numBars) {
  if (!peaks) return 0;
  const from = Math.floor((bar * peaks.length) / numBars);
  const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / numBars));
  return peaks.subarray(from, to).reduce((most, peak) => Math.max(most, peak), 0);
}
