/** The power spectrum of real samples, by a radix-2 fast Fourier transform. Pure. */

/**
 * @param {number} size a power of two
 * @returns {(samples: Float32Array, from: number) => Float32Array} the power of each frequency from
 *   0 to half the sample rate, of the samples from `from` on in a Hann window; the array is reused.
 */
export function powerSpectrum(size) {
  const tables = createTables(size);
  const real = new Float32Array(size);
  const imaginary = new Float32Array(size);
  const powers = new Float32Array(size / 2);
  return (samples, from) => {
    for (let index = 0; index < size; index += 1) {
      real[tables.order[index]] = (samples[from + index] ?? 0) * tables.hann[index];
    }
    imaginary.fill(0);
    transform(real, imaginary, tables);
    for (let bin = 0; bin < powers.length; bin += 1) powers[bin] = real[bin] ** 2 + imaginary[bin] ** 2;
    return powers;
  };
}

/** @param {number} size */
function createTables(size) {
  const angle = (/** @type {number} */ index) => (2 * Math.PI * index) / size;
  const numBits = Math.log2(size);
  const reverse = (/** @type {number} */ index) => {
    let reversed = 0;
    for (let bit = 0; bit < numBits; bit += 1) reversed |= ((index >> bit) & 1) << (numBits - 1 - bit);
    return reversed;
  };
  return {
    order: Uint32Array.from({ length: size }, (_, index) => reverse(index)),
    hann: Float32Array.from({ length: size }, (_, index) => 0.5 - 0.5 * Math.cos(angle(index))),
    cosines: Float32Array.from({ length: size / 2 }, (_, index) => Math.cos(angle(index))),
    sines: Float32Array.from({ length: size / 2 }, (_, index) => -Math.sin(angle(index))),
  };
}

/**
 * In place; the input is in bit-reversed order.
 * @param {Float32Array} real
 * @param {Float32Array} imaginary
 * @param {{cosines: Float32Array, sines: Float32Array}} tables
 */
function transform(real, imaginary, { cosines, sines }) {
  const size = real.length;
  for (let half = 1; half < size; half *= 2) {
    const stride = size / (2 * half);
    for (let start = 0; start < size; start += 2 * half) {
      for (let step = 0; step < half; step += 1) {
        const [low, high] = [start + step, start + step + half];
        const [cosine, sine] = [cosines[step * stride], sines[step * stride]];
        const re = real[high] * cosine - imaginary[high] * sine;
        const im = real[high] * sine + imaginary[high] * cosine;
        real[high] = real[low] - re;
        imaginary[high] = imaginary[low] - im;
        real[low] += re;
        imaginary[low] += im;
      }
    }
  }
}
