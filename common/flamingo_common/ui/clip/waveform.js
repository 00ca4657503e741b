/**
 * The waveform of a clip: decoded in the browser, and drawn as mirrored bars, the played ones in
 * the accent color.
 */

const DECODE_RATE_HZ = 8000; // enough for a waveform, and an hour fits in memory
const MAX_FILE_BYTES = 100 * 10 ** 6; // decoding needs many times the size of a file
const NUM_PEAKS = 2000;
const BAR_PX = 3;
const GAP_PX = 2;

/**
 * @param {File} file
 * @returns {Promise<{peaks: Float32Array, duration: number} | null>} null if the file is too large,
 *   or this browser cannot decode it.
 */
export async function computePeaks(file) {
  if (file.size > MAX_FILE_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, DECODE_RATE_HZ);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    return { peaks: peaksOfSamples(audio.getChannelData(0)), duration: audio.duration };
  } catch {
    return null;
  }
}

/**
 * @param {Float32Array} samples
 * @returns {Float32Array} the peak of each segment, scaled so that the highest is 1.
 */
export function peaksOfSamples(samples) {
  const peaks = new Float32Array(Math.max(1, Math.min(NUM_PEAKS, samples.length)));
  const scale = peaks.length / Math.max(1, samples.length);
  samples.forEach((sample, index) => {
    const segment = Math.min(peaks.length - 1, Math.floor(index * scale));
    peaks[segment] = Math.max(peaks[segment], Math.abs(sample));
  });
  const highest = peaks.reduce((max, peak) => Math.max(max, peak), 0);
  return highest > 0 ? peaks.map((peak) => peak / highest) : peaks;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array | null} peaks null draws a flat line
 * @param {number} played the fraction that has been played, 0 to 1
 */
export function drawWaveform(canvas, peaks, played) {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = fitToScreen(canvas, context);
  const style = getComputedStyle(canvas);
  const colors = [style.getPropertyValue("--accent"), style.getPropertyValue("--wave")];
  const numBars = Math.max(1, Math.floor((width + GAP_PX) / (BAR_PX + GAP_PX)));
  for (let bar = 0; bar < numBars; bar += 1) {
    const barHeight = Math.max(2, barPeak(peaks, bar, numBars) * height);
    context.fillStyle = colors[bar / numBars < played ? 0 : 1];
    context.beginPath();
    context.roundRect(bar * (BAR_PX + GAP_PX), (height - barHeight) / 2, BAR_PX, barHeight, BAR_PX / 2);
    context.fill();
  }
}

/**
 * Set the canvas to the screen's resolution, and clear it.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2D} context
 */
function fitToScreen(canvas, context) {
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
function barPeak(peaks, bar, numBars) {
  if (!peaks) return 0;
  const from = Math.floor((bar * peaks.length) / numBars);
  const to = Math.max(from + 1, Math.floor(((bar + 1) * peaks.length) / numBars));
  return peaks.subarray(from, to).reduce((max, peak) => Math.max(max, peak), 0);
}
