/** Numbers as people read them. Pure. */

/** @param {number} seconds `83.4` → `1:23` */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {number} seconds `1200` → `20 min` */
export function span(seconds) {
  if (seconds < 90) return `${trim(seconds)} s`;
  return `${trim(seconds / 60)} min`;
}

/** @param {number} bytes `3407872` → `3.4 MB` */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${trim(bytes / 1000 ** step)} ${units[step]}`;
}

/** @param {number} number with thousands apart */
export const count = (number) => number.toLocaleString("en");

/** @param {number} number one decimal below ten, none above */
const trim = (number) => String(number < 10 ? Math.round(number * 10) / 10 : Math.round(number));
