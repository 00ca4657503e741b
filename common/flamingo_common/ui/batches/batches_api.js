/**
 * The routes for files and batches that this page uses. Does not touch the document.
 *
 * @typedef {{code: string, line: number | null, message: string}} Fault
 * @typedef {{id: string, status: string, endpoint: string, created_at: number, expires_at: number,
 *   request_counts: {total: number, completed: number, failed: number},
 *   output_file_id: string | null, error_file_id: string | null,
 *   errors: {data: Fault[]} | null}} Batch
 * @typedef {{data: Batch[], has_more: boolean}} BatchPage
 */

import { fetchJson, send } from "../server/http.js";
import { jsonBody } from "../server/bodies.js";

/** The states of a batch on which there is work left. */
const ACTIVE = new Set(["validating", "in_progress", "finalizing", "cancelling"]);
const CANCELLABLE = new Set(["validating", "in_progress"]);

/** @param {Batch} batch */
export const isActive = ({ status }) => ACTIVE.has(status);

/** @param {Batch} batch */
export const isCancellable = ({ status }) => CANCELLABLE.has(status);

/**
 * @param {number} limit
 * @param {string} [after] the id of the last batch of the page before
 * @returns {Promise<BatchPage>} batches of this API key, the newest first.
 */
export function fetchBatches(limit, after) {
  const query = new URLSearchParams({ limit: String(limit), ...(after ? { after } : {}) });
  return fetchJson(`v1/batches?${query}`);
}

/**
 * @param {string} id
 * @returns {Promise<Batch>}
 */
export const fetchBatch = (id) => fetchJson(`v1/batches/${encodeURIComponent(id)}`);

/**
 * @param {string} id
 * @returns {Promise<Batch>}
 */
export const cancelBatch = (id) =>
  fetchJson(`v1/batches/${encodeURIComponent(id)}/cancel`, { method: "POST" });

/**
 * @param {string} id
 * @returns {Promise<Blob>} the contents of a file.
 */
export const fetchFile = async (id) =>
  (await send(`v1/files/${encodeURIComponent(id)}/content`)).blob();

/**
 * Upload a file of requests, and create a batch of it.
 * @param {File} file
 * @param {string} endpoint the URL of every line
 * @returns {Promise<Batch>}
 */
export async function createBatch(file, endpoint) {
  const form = new FormData();
  form.append("purpose", "batch");
  form.append("file", file, file.name);
  const uploaded = await fetchJson("v1/files", { method: "POST", body: form });
  const fields = { input_file_id: uploaded.id, endpoint, completion_window: "24h" };
  return fetchJson("v1/batches", {
    method: "POST",
    body: jsonBody(fields),
  });
}
