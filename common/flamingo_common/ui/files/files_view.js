/** The table of several files, which are captioned with the same options. */

import { $, download, showError } from "../shared/dom.js";
import { formatCount } from "../shared/format.js";
import { RequestButton } from "../shared/streaming.js";
import { toCsv, toJsonLines } from "./export.js";
import { FileRow } from "./file_row.js";
import { runAll } from "./pool.js";

/** A browser opens six connections to a server; the rest of the page needs some. */
const MAX_CONCURRENT = 4;

/** @typedef {import("../clip/clip.js").Clip} Clip */

export class FilesView {
  /** @type {FileRow[]} */
  #rows = [];
  /** What the captions of the table were made with. */
  #madeWith = "";

  /**
   * @param {{onOpen: (clip: Clip) => void, onCompare: (clip: Clip) => void, readOptions: () => import("../server/calls.js").CaptionOptions,
   *   onDone: (row: FileRow, options: import("../server/calls.js").CaptionOptions) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.request = new RequestButton(
      $("files-start"), (signal) => this.#run(signal), (error) => showError($("files-error"), error));
    $("files-csv").addEventListener("click", () => this.#save(toCsv(this.#results()), "csv", "text/csv"));
    $("files-jsonl").addEventListener("click", () =>
      this.#save(toJsonLines(this.#results()), "jsonl", "application/x-ndjson"));
    $("files-clear").addEventListener("click", () => this.#clear());
  }

  get isShown() {
    return !$("files").hidden;
  }

  /** @param {Clip[]} clips */
  add(clips) {
    const rows = clips.map((clip) => new FileRow(clip, this.listener.onOpen, this.listener.onCompare));
    this.#rows.push(...rows);
    $("files-rows").append(...rows.map((row) => row.element));
    $("files").hidden = false;
    this.#render();
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    const options = this.listener.readOptions();
    $("files-error").hidden = true;
    if (options.prompt === "") throw new Error("Write a prompt first, beside Custom");
    const madeWith = JSON.stringify(options);
    if (madeWith !== this.#madeWith) this.#rows.forEach((row) => row.reset());
    this.#madeWith = madeWith;
    const rows = this.#rows.filter((row) => row.state !== "done");
    const truncate = /** @type {HTMLInputElement} */ ($("files-truncate")).checked;
    for (const { clip } of rows) clip.truncate ||= truncate;
    this.#render();
    await runAll(rows, MAX_CONCURRENT, signal, async (row) => {
      await row.run(options, signal);
      if (row.state === "done") this.listener.onDone(row, options);
      this.#render();
    });
    $("files-announcement").textContent = this.#summary();
  }

  #clear() {
    this.request.stop();
    this.#rows = [];
    this.#madeWith = "";
    $("files-rows").replaceChildren();
    $("files-announcement").textContent = "";
    $("files").hidden = true;
  }

  #render() {
    const numEnded = this.#count("done") + this.#count("failed");
    const bar = /** @type {HTMLProgressElement} */ ($("files-progress"));
    bar.max = Math.max(1, this.#rows.length);
    bar.value = numEnded;
    $("files-summary").textContent = this.#summary();
    $("files-exports").hidden = numEnded === 0;
  }

  #summary() {
    const num = (/** @type {number} */ count) => formatCount(count);
    const done = `${num(this.#count("done"))} of ${num(this.#rows.length)} captioned`;
    const numFailed = this.#count("failed");
    return numFailed ? `${done}, ${num(numFailed)} failed` : done;
  }

  /** @param {import("./file_row.js").State} state */
  #count(state) {
    return this.#rows.filter((row) => row.state === state).length;
  }

  #results() {
    return this.#rows
      .filter((row) => ["done", "failed"].includes(row.state))
      .map((row) => row.result);
  }

  /**
   * @param {string} text
   * @param {string} ending
   * @param {string} type
   */
  #save(text, ending, type) {
    download(new Blob([text], { type }), `captions.${ending}`);
  }
}
