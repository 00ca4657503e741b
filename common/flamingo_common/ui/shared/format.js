/** Numbers and names in readable form. Pure. */

/** @param {number} seconds for example 83.4, which is formatted as 1:23 */
export function formatClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {number} seconds for example 1200, which is formatted as 20 min */
export function formatDuration(seconds) {
  if (seconds < 90) return `${formatShort(seconds)} s`;
  if (seconds < 90 * 60) return `${formatShort(seconds / 60)} min`;
  return `${formatShort(seconds / 3600)} h`;
}

/** @param {number} seconds for example 1200, which is spelled as 20 minutes */
export function spellDuration(seconds) {
  const minutes = seconds / 60;
  return Number.isInteger(minutes) && minutes > 1 ? `${minutes} minutes` : formatDuration(seconds);
}

/** @param {number} bytes for example 3407872, which is formatted as 3.4 MB */
export function formatSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${formatShort(bytes / 1000 ** step)} ${units[step]}`;
}

/** @param {number} number for example 32768, which is formatted as 32,768 */
export const formatCount = (number) => number.toLocaleString("en");

/** @param {number} number with one decimal below ten, and none above */
const formatShort = (number) => String(number < 10 ? Math.round(number * 10) / 10 : Math.round(number));

/** @param {string} name of a file, without its ending */
export const baseName = (name) => name.replace(/\.[^.\s]+$/, "");

/** @param {number} seconds of audio that a damaged file has lost; empty if there are none */
export function missingNote(seconds) {
  return seconds ? `${seconds.toFixed(2)} s of the audio are missing or damaged` : "";
}
