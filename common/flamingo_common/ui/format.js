/** Numbers in readable form. Pure. */

/** @param {number} seconds `83.4` → `1:23` */
export function formatClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {number} seconds `1200` → `20 min` */
export function formatDuration(seconds) {
  if (seconds < 90) return `${formatShort(seconds)} s`;
  return `${formatShort(seconds / 60)} min`;
}

/** @param {number} bytes `3407872` → `3.4 MB` */
export function formatSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${formatShort(bytes / 1000 ** step)} ${units[step]}`;
}

/** @param {number} number `32768` → `32,768` */
export const formatCount = (number) => number.toLocaleString("en");

/** @param {number} number with one decimal below ten, and none above */
const formatShort = (number) => String(number < 10 ? Math.round(number * 10) / 10 : Math.round(number));
