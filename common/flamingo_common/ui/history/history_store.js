/**
 * What was generated in this browser, newest first: no audio, no link, no key.
 *
 * @typedef {{at: string, clip: string, kind: "caption" | "question", prompt: string, text: string,
 *   model: string}} Entry
 */

const ENTRIES = "flamingo.history";
const IS_OFF = "flamingo.history.off";
const MAX_ENTRIES = 300;

/** @returns {Entry[]} none if what is stored is not a history. */
export function readHistory() {
  try {
    const stored = JSON.parse(localStorage.getItem(ENTRIES) ?? "[]");
    return Array.isArray(stored) ? stored : [];
  } catch {
    return []; // damaged, or this browser stores nothing
  }
}

/** @param {Entry} entry */
export function addToHistory(entry) {
  if (isHistoryOff()) return;
  for (let num = MAX_ENTRIES; num > 0; num = Math.floor(num / 2)) {
    // Read each time, since another tab may have added an entry.
    if (store(ENTRIES, JSON.stringify([entry, ...readHistory()].slice(0, num)))) return;
  }
}

export const clearHistory = () => remove(ENTRIES);

export function isHistoryOff() {
  try {
    return localStorage.getItem(IS_OFF) !== null;
  } catch {
    return true;
  }
}

/** @param {boolean} isOff */
export const setHistoryOff = (isOff) => (isOff ? store(IS_OFF, "1") : remove(IS_OFF));

/**
 * @param {string} name
 * @param {string} text
 * @returns {boolean} whether there was room.
 */
function store(name, text) {
  try {
    localStorage.setItem(name, text);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} name */
function remove(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // This browser stores nothing.
  }
}
