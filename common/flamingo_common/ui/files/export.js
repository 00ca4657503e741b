/**
 * The table of files as CSV and as JSON lines. Pure.
 *
 * @typedef {{file: string, url?: string, caption: string | null, audio_seconds: number | null,
 *   completion_tokens: number | null, finish_reason: string | null, request_id: string | null,
 *   error: string | null}} Result
 */

/** @type {(keyof Result)[]} */
const COLUMNS = [
  "file", "url", "caption", "audio_seconds", "completion_tokens", "finish_reason", "request_id", "error",
];

/** @param {Result[]} results */
export const toJsonLines = (results) =>
  results.map((result) => `${JSON.stringify(result)}\n`).join("");

/**
 * @param {Result[]} results
 * @returns {string} as RFC 4180 has it, with a byte order mark, without which Excel misreads UTF-8.
 */
export function toCsv(results) {
  const lines = [COLUMNS, ...results.map((result) => COLUMNS.map((name) => result[name] ?? ""))];
  return `\uFEFF${lines.map((cells) => cells.map(cellText).join(",")).join("\r\n")}\r\n`;
}

/** @param {string | number} value */
function cellText(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
