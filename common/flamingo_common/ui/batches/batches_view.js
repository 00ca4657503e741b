/** The batches panel: what the service keeps for this API key, and the upload of another file. */

import { ApiError } from "../server/http.js";
import { BatchRow } from "./batch_row.js";
import { faultCount, requestUrl, statusText } from "./batch_texts.js";
import { createBatch, fetchBatch, fetchBatches } from "./batches_api.js";
import { $, showError } from "../shared/dom.js";
import { readFirstLine } from "./first_line.js";

const POLL_INTERVAL_MS = 2000;
const PAGE = 20;

export class BatchesView {
  /** The shown batches by id, the newest first. @type {Map<string, BatchRow>} */
  #rows = new Map();
  #hasOlder = false;
  #timer = 0;
  /** @type {Promise<void> | null} the refresh that is under way */
  #refreshing = null;

  constructor() {
    const input = /** @type {HTMLInputElement} */ ($("batch-file"));
    $("batch-upload").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) this.upload(file);
      input.value = ""; // so that choosing the same file again is a change
    });
    $("batches-refresh").addEventListener("click", () => this.#refresh());
    $("batches-older").addEventListener("click", () => this.#showOlder());
    document.addEventListener("visibilitychange", () => this.#onVisibility());
  }

  /** Whether this key has access to batches. */
  get isShown() {
    return !$("batches").hidden;
  }

  /** Show the panel, unless this key has no access to batches. */
  async start() {
    await this.#refresh();
  }

  /**
   * Upload a file of requests, and create a batch of it.
   * @param {File} file
   */
  async upload(file) {
    const button = /** @type {HTMLButtonElement} */ ($("batch-upload"));
    $("batch-upload-error").hidden = true;
    button.disabled = true;
    try {
      const endpoint = requestUrl(await readFirstLine(file));
      if (endpoint === null) throw new Error(NO_REQUEST);
      $("batch-note").textContent = `Uploading ${file.name}…`;
      const batch = await createBatch(file, endpoint);
      $("batch-note").textContent = `Created ${batch.id}.`;
      this.#update(batch);
      this.#schedule();
    } catch (error) {
      $("batch-note").textContent = "";
      showError($("batch-upload-error"), error);
    } finally {
      button.disabled = false;
    }
  }

  #onVisibility() {
    clearTimeout(this.#timer);
    if (this.isShown && document.visibilityState === "visible") this.#refresh();
  }

  /** Fetch the newest batches, and others that may have changed; once at a time. */
  #refresh() {
    clearTimeout(this.#timer);
    this.#refreshing ??= this.#fetch().finally(() => {
      this.#refreshing = null;
      this.#schedule();
    });
    return this.#refreshing;
  }

  async #fetch() {
    try {
      const page = await fetchBatches(PAGE);
      const listed = new Set(page.data.map((batch) => batch.id));
      const others = [...this.#rows].filter(([id, row]) => row.isActive && !listed.has(id));
      const changed = await Promise.all(others.map(([id]) => fetchBatch(id)));
      if (!this.#rows.size) this.#hasOlder = page.has_more;
      // The oldest first, because a new row is the first one.
      for (const batch of [...changed, ...page.data.toReversed()]) this.#update(batch);
      $("batches-error").hidden = true;
    } catch (error) {
      if (error instanceof ApiError && [403, 404].includes(error.status) && !this.#rows.size) {
        $("batches").hidden = true;
        return; // there is no service after all, or the key lacks permission
      }
      showError($("batches-error"), error);
    }
    $("batches").hidden = false;
    this.#render();
  }

  async #showOlder() {
    try {
      const last = [...this.#rows.keys()].at(-1);
      const page = await fetchBatches(PAGE, last);
      this.#hasOlder = page.has_more;
      for (const batch of page.data) this.#add(batch, { isOlder: true });
      $("batches-error").hidden = true;
    } catch (error) {
      showError($("batches-error"), error);
    }
    this.#render();
  }

  /** Refresh again after a while, as long as a batch has work left and the page is visible. */
  #schedule() {
    clearTimeout(this.#timer);
    const isRunning = [...this.#rows.values()].some((row) => row.isActive);
    if (!isRunning || document.visibilityState !== "visible") return;
    this.#timer = setTimeout(() => this.#refresh(), POLL_INTERVAL_MS);
  }

  /** @param {import("./batches_api.js").Batch} batch */
  #update(batch) {
    const row = this.#rows.get(batch.id);
    if (!row) return this.#add(batch, { isOlder: false });
    const wasActive = row.isActive;
    row.update(batch);
    if (wasActive && !row.isActive) announceEnd(batch);
    this.#render();
  }

  /**
   * @param {import("./batches_api.js").Batch} batch
   * @param {{isOlder: boolean}} place
   */
  #add(batch, { isOlder }) {
    if (this.#rows.has(batch.id)) return;
    const row = new BatchRow(batch, (changed) => this.#update(changed));
    const entry = /** @type {[string, BatchRow]} */ ([batch.id, row]);
    this.#rows = new Map(isOlder ? [...this.#rows, entry] : [entry, ...this.#rows]);
    $("batch-list")[isOlder ? "append" : "prepend"](row.element);
    this.#render();
  }

  #render() {
    const numRunning = [...this.#rows.values()].filter((row) => row.isActive).length;
    $("batches-summary").textContent = numRunning ? `${numRunning} in progress` : "";
    $("batches-empty").hidden = this.#rows.size > 0 || !$("batches-error").hidden;
    $("batches-older").hidden = !this.#hasOlder;
  }
}

const NO_REQUEST = 'Line 1: not a request, which is a JSON object with a "url"';

/** @param {import("./batches_api.js").Batch} batch */
function announceEnd({ id, status, errors }) {
  const faults = errors?.data.length ? `: its file has ${faultCount(errors.data.length)}` : "";
  $("batch-note").textContent = `${id} ${statusText(status)}${faults}.`;
}
