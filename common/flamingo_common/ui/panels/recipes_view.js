/** The recipes panel: a button for each recipe, and its answer as text, a table, or sections. */

import { fetchRecipes, streamText } from "../server/api.js";
import { recipeCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, createElement, showError } from "../shared/dom.js";
import { renderStream, RequestButton } from "../shared/streaming.js";
import { comparisonParts, measuredRows } from "./measured_view.js";
import { RequestDetails } from "./request_details.js";
import { SectionsView } from "./sections_view.js";
import { thinkingBudget } from "./thinking.js";

/**
 * @typedef {import("../server/api.js").Answer} Answer
 * @typedef {import("../clip/clip.js").Clip} Clip
 */

export class RecipesView {
  #details = new RequestDetails($("recipe-request"), "answer");
  #sections;
  /** @type {RequestButton[]} */
  #buttons = [];

  /**
   * @param {() => Clip} clip
   * @param {import("../clip/player.js").Player} player
   */
  constructor(clip, player) {
    this.clip = clip;
    this.player = player;
    this.#sections = new SectionsView($("recipe-sections"), player);
  }

  /** Offer the recipes of the server; an older one has none. */
  async load() {
    const recipes = await fetchRecipes().catch(() => []);
    $("recipes").hidden = !recipes.length;
    this.#buttons = recipes.map((recipe) => this.#button(recipe));
    $("recipe-buttons").replaceChildren(...this.#buttons.map(({ button }) => button));
  }

  /** Discard the answer about the previous clip. */
  reset() {
    this.#buttons.forEach((button) => button.stop());
    this.#details.reset();
    this.#clear();
  }

  #clear() {
    $("recipe-text").replaceChildren();
    $("recipe-card").replaceChildren();
    $("recipe-note").textContent = "";
    $("recipe-error").hidden = true;
    $("recipe-measured").hidden = true;
    this.player.timeLine.setBeats([]);
    this.#sections.reset();
  }

  /** @param {import("../server/api.js").Recipe} recipe */
  #button({ name, description }) {
    const element = createElement("button", "", name);
    element.title = description;
    element.setAttribute("type", "button");
    const ask = (/** @type {AbortSignal} */ signal) => this.#ask(name, signal);
    const button = new RequestButton(element, ask, (error) => showError($("recipe-error"), error));
    element.addEventListener("click", () => this.#stopOthers(button));
    return button;
  }

  /** @param {RequestButton} button */
  #stopOthers(button) {
    this.#buttons.filter((other) => other !== button).forEach((other) => other.stop());
  }

  /**
   * @param {string} name
   * @param {AbortSignal} signal
   */
  async #ask(name, signal) {
    this.#clear();
    const measures = /** @type {HTMLInputElement} */ ($("recipe-measure")).checked;
    const record = new RequestRecord(recipeCall(this.clip(), name, { measures, thinkingBudget: thinkingBudget() }));
    this.#details.begin(record);
    /** @type {Answer | null} */
    let answer = null;
    /** @type {import("./measured_view.js").Measured | null} */
    let measured = null;
    const chunks = async function* () {
      for await (const chunk of streamText(record, signal)) {
        answer = chunk.answer ?? answer;
        measured = chunk.measured ?? measured;
        yield chunk;
      }
    };
    try {
      await renderStream(chunks(), $("recipe-text"), $("recipe-note"));
      if (answer && !signal.aborted) this.#show(answer, record.call.clip);
      if (measured && !signal.aborted) this.#showMeasured(measured);
    } finally {
      this.#details.end(record);
    }
  }

  /** @param {import("./measured_view.js").Measured} measured */
  #showMeasured(measured) {
    $("recipe-measured").querySelector("dl")?.replaceChildren(...measuredRows(measured));
    $("recipe-measured").hidden = false;
    this.player.timeLine.setBeats(measured.beats_s ?? []);
  }

  /**
   * @param {Answer} answer
   * @param {Clip} clip
   */
  #show({ parsed, confidence, comparisons, sections, faults, error }, clip) {
    if (error) return showError($("recipe-error"), new Error(error.message));
    if (sections) this.#sections.show(sections, faults ?? [], clip);
    else if (isObject(parsed)) $("recipe-card").replaceChildren(...rows(parsed, confidence ?? {}, comparisons ?? []));
    else return;
    $("recipe-text").replaceChildren(); // the text itself is in what is shown instead
  }
}

/** @param {unknown} value */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * @param {Record<string, unknown>} card
 * @param {Record<string, number>} confidence  By the JSON Pointers of values
 * @param {import("./measured_view.js").Comparison[]} comparisons
 */
function rows(card, confidence, comparisons) {
  return Object.entries(card).flatMap(([name, value]) => {
    const pointer = `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const cell = createElement("dd");
    const found = comparisons.find(({ field }) => field === name);
    cell.append(...valueParts(value, pointer, confidence), ...comparisonParts(found));
    return [createElement("dt", "", name), cell];
  });
}

/**
 * @param {unknown} value
 * @param {string} pointer
 * @param {Record<string, number>} confidence
 * @returns {(string | HTMLElement)[]}
 */
function valueParts(value, pointer, confidence) {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) {
    return value.flatMap((one, index) =>
      [index ? ", " : "", one, ...percent(confidence[`${pointer}/${index}`])]);
  }
  const below = Object.keys(confidence).filter((one) => one === pointer || one.startsWith(`${pointer}/`));
  const lowest = below.length ? Math.min(...below.map((one) => confidence[one])) : undefined;
  return [valueText(value), ...percent(lowest)];
}

/** @param {number | undefined} confidence */
function percent(confidence) {
  if (confidence === undefined) return [];
  const text = confidence < 0.01 ? "< 1 %" : `${Math.round(confidence * 100)} %`;
  const shown = createElement("small", "confidence", ` ${text}`);
  shown.title = "How sure the model is of this value; not calibrated";
  return [shown];
}

/** @param {unknown} value */
function valueText(value) {
  if (value === null) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
