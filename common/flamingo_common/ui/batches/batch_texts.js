/** What the page says about a batch. Pure. */

import { isActive } from "./batches_api.js";
import { formatCount, formatDuration } from "../shared/format.js";

/** @param {string} status */
export const statusText = (status) => status.replaceAll("_", " ");

/** @param {import("./batches_api.js").Batch} batch */
export function progressText({ status, request_counts: { total, completed, failed } }) {
  if (status === "validating") return "checking the file";
  if (status === "failed") return "no request was sent";
  const done = `${formatCount(completed + failed)} of ${formatCount(total)} done`;
  return failed ? `${done}, ${formatCount(failed)} failed` : done;
}

/**
 * @param {import("./batches_api.js").Batch} batch
 * @param {number} nowMs
 */
export function timeText(batch, nowMs) {
  const created = `created ${formatTime(batch.created_at)}`;
  if (!isActive(batch)) return created;
  const leftS = Math.max(batch.expires_at - nowMs / 1000, 0);
  return `${created}, expires in ${formatDuration(leftS)}`;
}

/** @param {import("./batches_api.js").Fault} fault */
export const faultText = ({ line, message }) => (line ? `Line ${line}: ${message}` : message);

/** @param {number} num */
export const faultCount = (num) => (num === 1 ? "1 fault" : `${formatCount(num)} faults`);

/**
 * @param {string} line the first of a file of requests
 * @returns {string | null} its URL, which is the endpoint of the batch; null if it is not a request.
 */
export function requestUrl(line) {
  try {
    const url = JSON.parse(line)?.url;
    return typeof url === "string" ? url : null;
  } catch {
    return null;
  }
}

/** @param {number} seconds since 1970 */
const formatTime = (seconds) =>
  new Date(seconds * 1000).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
