/** One batch in the list: its state, its progress, and what can be done with it. */

import { faultCount, faultText, progressText, statusText, timeText } from "./batch_texts.js";
import { cancelBatch, fetchFile, isActive, isCancellable } from "./batches_api.js";
import { createElement, download, showError } from "../shared/dom.js";

const MAX_FAULTS_SHOWN = 100;

export class BatchRow {
  /** @type {import("./batches_api.js").Batch} */
  #batch;
  #state = createElement("span", "state");
  #bar = createElement("div", "progress");
  #completed = createElement("div", "completed");
  #failed = createElement("div", "failed");
  #counts = createElement("span");
  #times = createElement("span", "note");
  #faults = createElement("details", "faults");
  #error = createElement("p", "error");
  #output;
  #errors;
  #cancel;

  /**
   * @param {import("./batches_api.js").Batch} batch
   * @param {(batch: import("./batches_api.js").Batch) => void} onChange called after a cancellation
   */
  constructor(batch, onChange) {
    this.element = createElement("li", "batch");
    this.onChange = onChange;
    this.#batch = batch;
    this.#output = this.#action("Output", () => this.#download(this.#batch.output_file_id, "output"));
    this.#errors = this.#action("Errors", () => this.#download(this.#batch.error_file_id, "errors"));
    this.#cancel = this.#action("Cancel", () => this.#askToCancel());
    this.#layOut();
    this.update(batch);
  }

  get isActive() {
    return isActive(this.#batch);
  }

  get status() {
    return this.#batch.status;
  }

  /** @param {import("./batches_api.js").Batch} batch */
  update(batch) {
    this.#batch = batch;
    const { total, completed, failed } = batch.request_counts;
    const share = (/** @type {number} */ num) => `${total ? (100 * num) / total : 0}%`;
    this.element.dataset.status = batch.status;
    this.#state.textContent = statusText(batch.status);
    this.#counts.textContent = progressText(batch);
    this.#times.textContent = `${batch.endpoint} · ${timeText(batch, Date.now())}`;
    this.#completed.style.inlineSize = share(completed);
    this.#failed.style.inlineSize = share(failed);
    this.#bar.setAttribute("aria-valuemax", String(Math.max(total, 1)));
    this.#bar.setAttribute("aria-valuenow", String(completed + failed));
    this.#bar.setAttribute("aria-valuetext", progressText(batch));
    this.#output.hidden = !batch.output_file_id;
    this.#errors.hidden = !batch.error_file_id;
    this.#cancel.hidden = !isCancellable(batch);
    this.#showFaults(batch.errors?.data ?? []);
  }

  #layOut() {
    const { id } = this.#batch;
    this.#bar.setAttribute("role", "progressbar");
    this.#bar.setAttribute("aria-label", `Progress of ${id}`);
    this.#bar.setAttribute("aria-valuemin", "0");
    this.#bar.append(this.#completed, this.#failed);
    this.#error.setAttribute("role", "alert");
    this.#error.hidden = true;
    const head = createElement("div", "batch-head");
    head.append(createElement("span", "address", id), this.#state);
    const foot = createElement("div", "batch-foot");
    const actions = createElement("span", "actions");
    actions.append(this.#output, this.#errors, this.#cancel);
    foot.append(this.#counts, this.#times, actions);
    this.element.append(head, this.#bar, foot, this.#faults, this.#error);
  }

  /**
   * @param {string} label
   * @param {() => Promise<void>} act
   */
  #action(label, act) {
    const button = /** @type {HTMLButtonElement} */ (createElement("button", "quiet", label));
    button.type = "button";
    button.setAttribute("aria-label", `${label} of ${this.#batch.id}`);
    button.addEventListener("click", async () => {
      this.#error.hidden = true;
      button.setAttribute("aria-disabled", "true"); // unlike `disabled`, it keeps the focus
      try {
        await act();
      } catch (error) {
        showError(this.#error, error);
      } finally {
        button.removeAttribute("aria-disabled");
      }
    });
    return button;
  }

  /**
   * @param {string | null} fileId
   * @param {string} kind
   */
  async #download(fileId, kind) {
    if (fileId) download(await fetchFile(fileId), `${this.#batch.id}_${kind}.jsonl`);
  }

  async #askToCancel() {
    const { id } = this.#batch;
    if (!confirm(`Cancel ${id}? What was answered until now is kept.`)) return;
    this.onChange(await cancelBatch(id));
  }

  /** @param {import("./batches_api.js").Fault[]} faults of the file; they never change */
  #showFaults(faults) {
    this.#faults.hidden = faults.length === 0;
    if (!faults.length || this.#faults.childElementCount) return;
    const list = createElement("ul");
    const shown = faults.slice(0, MAX_FAULTS_SHOWN);
    list.append(...shown.map((fault) => createElement("li", "", faultText(fault))));
    if (faults.length > shown.length) {
      list.append(createElement("li", "", `… and ${faultCount(faults.length - shown.length)} more`));
    }
    this.#faults.append(createElement("summary", "", faultCount(faults.length)), list);
    // Those of a file that was just uploaded are shown, and those of earlier ones can be.
    /** @type {HTMLDetailsElement} */ (this.#faults).open = this.element.isConnected;
  }
}
