/** The calibration of the tags: a file of the reader, which this browser keeps. */

import { $, showError } from "../shared/dom.js";
import { formatCount } from "../shared/format.js";
import { readCalibration, refusalFor } from "./calibration.js";

/**
 * @typedef {import("./calibration.js").Calibration} Calibration
 * @typedef {import("../server/api.js").ModelCard} ModelCard
 */

const STORED = "flamingo.calibration";
const MAX_BYTES = 65_536;
const NOT_CALIBRATED = "How likely each label is. The probabilities are the model’s own, and not calibrated.";

export class CalibrationView {
  /** The model that is served, when it is known. @type {ModelCard | null} */
  card = null;
  /** @type {Calibration | null} */
  #current = stored();

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    const input = /** @type {HTMLInputElement} */ ($("calibration-file"));
    $("calibration-choose").addEventListener("click", () => input.click());
    $("calibration-remove").addEventListener("click", () => this.#remove());
    input.addEventListener("change", () => {
      if (input.files?.[0]) this.#open(input.files[0]);
      input.value = "";
    });
    this.#show();
  }

  /** @returns {Calibration | null} the one to use; fails if it is for another model than is served. */
  get current() {
    const refusal = this.#current && this.card ? refusalFor(this.#current, this.card) : "";
    if (refusal) throw new Error(refusal);
    return this.#current;
  }

  /** @param {File} file */
  async #open(file) {
    this.onChange();
    try {
      if (file.size > MAX_BYTES) throw new Error(`${file.name} is larger than ${formatCount(MAX_BYTES)} bytes`);
      const text = await file.text();
      const found = readCalibration(text, file.name);
      const refusal = this.card ? refusalFor(found, this.card) : "";
      if (refusal) throw new Error(refusal);
      this.#current = found;
      store(JSON.stringify({ file: file.name, text }));
    } catch (error) {
      showError($("tags-error"), error);
    }
    this.#show();
  }

  #remove() {
    this.#current = null;
    store(null);
    this.onChange();
    this.#show();
    $("calibration-choose").focus();
  }

  #show() {
    const found = this.#current;
    $("calibration-remove").hidden = !found;
    $("calibration-note").textContent = found
      ? `How likely each label is, calibrated with ${found.file}: ${formatCount(found.num_examples)} answers` +
        ` about ${formatCount(found.num_clips)} clips.`
      : NOT_CALIBRATED;
  }
}

/** @returns {Calibration | null} what this browser has kept. */
function stored() {
  try {
    const { text, file } = JSON.parse(localStorage.getItem(STORED) ?? "");
    return readCalibration(text, file);
  } catch {
    return null; // nothing, or damaged, or this browser stores nothing
  }
}

/** @param {string | null} text */
function store(text) {
  try {
    if (text === null) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, text);
  } catch {
    // This browser stores nothing: the calibration is used until the page is closed.
  }
}
