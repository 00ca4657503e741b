/** Samples as a WAV file of 16-bit PCM. Pure. */

const HEADER_BYTES = 44;

/**
 * @param {Float32Array} samples of one channel, from -1 to 1
 * @param {number} rateHz
 * @returns {Blob}
 */
export function encodeWav(samples, rateHz) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  writeHeader(view, 2 * samples.length, rateHz);
  samples.forEach((sample, index) => {
    const limited = Math.max(-1, Math.min(1, sample));
    view.setInt16(HEADER_BYTES + 2 * index, Math.round(limited * 32767), true);
  });
  return new Blob([view.buffer], { type: "audio/wav" });
}

/**
 * @param {DataView} view
 * @param {number} dataBytes
 * @param {number} rateHz
 */
function writeHeader(view, dataBytes, rateHz) {
  const text = (/** @type {number} */ at, /** @type {string} */ letters) =>
    [...letters].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + dataBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rateHz, true);
  view.setUint32(28, 2 * rateHz, true);
  view.setUint16(32, 2, true); // bytes of a frame
  view.setUint16(34, 16, true); // bits of a sample
  text(36, "data");
  view.setUint32(40, dataBytes, true);
}
