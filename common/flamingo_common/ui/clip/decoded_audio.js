/** A clip decoded in the browser, to draw it. */

const RATE_HZ = 16000; // the model's own
const MAX_FILE_BYTES = 100 * 10 ** 6;
const MAX_DURATION_S = 4000; // two channels of an hour are 460 MB
const BLOCK = 160; // samples whose peak is kept: 10 ms

/**
 * @typedef {{samples: Float32Array, rateHz: number, durationS: number, peaks: Float32Array}} DecodedAudio
 *   one channel, and the peak of each block of 10 ms
 */

/**
 * @param {File} file
 * @param {number} durationS by its header; 0 if it is unknown
 * @returns {Promise<DecodedAudio | null>} null if the clip is too large, or this browser cannot
 *   decode it.
 */
export async function decodeClip(file, durationS) {
  if (file.size > MAX_FILE_BYTES || durationS > MAX_DURATION_S) return null;
  try {
    const context = new OfflineAudioContext(1, 1, RATE_HZ);
    const audio = await context.decodeAudioData(await file.arrayBuffer());
    const samples = mixChannels(audio);
    return { samples, rateHz: RATE_HZ, durationS: audio.duration, peaks: blockPeaks(samples) };
  } catch {
    return null;
  }
}

/** @param {AudioBuffer} audio */
function mixChannels(audio) {
  const mixed = audio.getChannelData(0);
  for (let channel = 1; channel < audio.numberOfChannels; channel += 1) {
    const samples = audio.getChannelData(channel);
    for (let index = 0; index < mixed.length; index += 1) mixed[index] += samples[index];
  }
  const scale = 1 / audio.numberOfChannels;
  for (let index = 0; index < mixed.length; index += 1) mixed[index] *= scale;
  return mixed;
}

/** @param {Float32Array} samples */
function blockPeaks(samples) {
  const peaks = new Float32Array(Math.ceil(samples.length / BLOCK));
  for (let index = 0; index < samples.length; index += 1) {
    const block = Math.floor(index / BLOCK);
    peaks[block] = Math.max(peaks[block], Math.abs(samples[index]));
  }
  return peaks;
}

/**
 * @param {DecodedAudio} audio
 * @param {number} startS
 * @param {number} endS
 * @returns {number} the highest peak between them.
 */
export function peakBetween({ peaks, rateHz }, startS, endS) {
  const from = Math.floor((startS * rateHz) / BLOCK);
  const to = Math.max(from + 1, Math.floor((endS * rateHz) / BLOCK));
  return peaks.subarray(from, to).reduce((max, peak) => Math.max(max, peak), 0);
}
