/** The tags panel: how likely the labels of the chosen taxonomies are, as bars and as numbers. */

import { RequestDetails } from "../panels/request_details.js";
import { fetchDecision } from "../server/api.js";
import { tagsCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, createElement, download, showError } from "../shared/dom.js";
import { baseName, missingNote } from "../shared/format.js";
import { RequestButton } from "../shared/streaming.js";
import { CalibrationView } from "./calibration_view.js";
import { formatProbability, ranked, tagsOf } from "./tags.js";
import { TAXONOMIES } from "./taxonomies.js";

/** @typedef {import("./tags.js").Tag} Tag */

const CHOSEN_AT_FIRST = ["genre", "mood", "instruments"];
const NONE_CHOSEN = "Choose at least one kind of tags.";

export class TagsView {
  #details = new RequestDetails($("tags-request"), "tags");
  /** What is shown, as `flamingo tag --json` prints it. @type {{file: string} | null} */
  #shown = null;
  calibration = new CalibrationView(() => this.reset());

  /** @param {() => import("../clip/clip.js").Clip} clip */
  constructor(clip) {
    this.clip = clip;
    $("taxonomies").append(...TAXONOMIES.map(({ name }) => checkbox(name)));
    this.request = new RequestButton(
      $("tag"), (signal) => this.#tag(signal), (error) => this.#showError(error));
    $("tags-json").addEventListener("click", () => this.#download());
  }

  /** Discard the tags of the previous clip. */
  reset() {
    this.request.stop();
    this.#details.reset();
    this.#clear();
  }

  #clear() {
    this.#shown = null;
    $("tags-json").hidden = true;
    $("tags-note").textContent = "";
    $("tags-error").hidden = true;
    $("tag-groups").replaceChildren();
  }

  /** @param {AbortSignal} signal */
  async #tag(signal) {
    this.#clear();
    const chosen = TAXONOMIES.filter(({ name }) => isChecked(name));
    if (!chosen.length) throw new Error(NONE_CHOSEN);
    const calibration = this.calibration.current;
    const record = new RequestRecord(tagsCall(this.clip(), chosen, calibration));
    $("tags-note").textContent = "Processing audio…";
    this.#details.begin(record);
    try {
      const { answers, model, usage } = await fetchDecision(record, signal);
      const tags = tagsOf(chosen, answers, calibration);
      this.#shown = { file: record.call.clip.name, model, tags, usage };
      this.#show(tags);
      $("tags-note").textContent = missingNote(usage.audio_missing_seconds ?? 0);
    } catch (error) {
      if (!signal.aborted) $("tags-note").textContent = "";
      throw error;
    } finally {
      this.#details.end(record);
    }
  }

  /** @param {Record<string, Tag[]>} tags */
  #show(tags) {
    $("tag-groups").replaceChildren(...Object.entries(tags).map(([name, each]) => group(name, each)));
    $("tags-json").hidden = false;
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("tags-error"), error, () => this.request.start());
  }

  #download() {
    if (!this.#shown) return;
    const json = new Blob([JSON.stringify(this.#shown, null, 2)], { type: "application/json" });
    download(json, `${baseName(this.#shown.file)} tags.json`);
  }
}

/** @param {string} name of a taxonomy */
function checkbox(name) {
  const label = createElement("label");
  const input = /** @type {HTMLInputElement} */ (createElement("input"));
  Object.assign(input, { type: "checkbox", name: "taxonomy", value: name });
  input.checked = CHOSEN_AT_FIRST.includes(name);
  label.append(input, name);
  return label;
}

/** @param {string} name */
const isChecked = (name) => document.querySelector(`input[name="taxonomy"][value="${name}"]:checked`) !== null;

/**
 * @param {string} name
 * @param {Tag[]} tags
 */
function group(name, tags) {
  const { first, others } = ranked(tags);
  const element = createElement("div", "tag-group");
  element.append(createElement("h3", "", name), list(first));
  if (others.length) {
    const more = createElement("details");
    more.append(createElement("summary", "note", `${others.length} more`), list(others));
    element.append(more);
  }
  return element;
}

/** @param {Tag[]} tags */
function list(tags) {
  const element = createElement("ol", "tag-list");
  element.append(...tags.map(entry));
  return element;
}

/** @param {Tag} tag */
function entry({ label, probability }) {
  const element = createElement("li");
  const bar = createElement("span", "tag-bar");
  const filled = createElement("span");
  filled.style.inlineSize = `${100 * probability}%`;
  bar.setAttribute("aria-hidden", "true"); // the number says the same
  bar.append(filled);
  element.append(
    createElement("span", "", label), bar, createElement("span", "tag-value", formatProbability(probability)));
  return element;
}
