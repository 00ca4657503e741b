/** The caption panel: a style or a custom prompt, and the streamed text. */

import { streamText } from "../server/api.js";
import { captionCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, checkedValue, copyOnClick, showError } from "../shared/dom.js";
import { followEnd } from "../shared/follow.js";
import { renderStream, RequestButton } from "../shared/streaming.js";
import { RequestDetails } from "./request_details.js";
import { thinkingBudget } from "./thinking.js";

const CUSTOM = "custom";

export class CaptionView {
  #follow = followEnd($("caption"), $("caption-note"));
  #details = new RequestDetails($("caption-request"), "caption");

  /**
   * @param {() => import("../clip/clip.js").Clip} clip
   * @param {(clip: import("../clip/clip.js").Clip, prompt: string, text: string) => void} onText
   */
  constructor(clip, onText) {
    this.clip = clip;
    this.onText = onText;
    this.request = new RequestButton(
      $("generate"), (signal) => this.#generate(signal), (error) => this.#showError(error));
    $("styles").addEventListener("change", () => this.#updatePrompt());
    copyOnClick($("copy-caption"), () => $("caption").textContent ?? "");
    this.#updatePrompt();
  }

  /** Discard the caption of the previous clip. */
  reset() {
    this.request.stop();
    this.#details.reset();
    $("caption").replaceChildren();
    $("caption-note").textContent = "";
    $("caption-error").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #generate(signal) {
    const options = readOptions();
    $("caption-error").hidden = true;
    if (options.prompt === "") return this.#requestPrompt();
    const record = new RequestRecord(captionCall(this.clip(), options));
    this.#details.begin(record);
    $("copy-caption").hidden = true; // until there is text
    this.#follow();
    try {
      await renderStream(streamText(record, signal), $("caption"), $("caption-note"));
      this.onText(record.call.clip, promptName(options), $("caption").textContent ?? "");
    } finally {
      this.#details.end(record);
      $("copy-caption").hidden = !$("caption").textContent;
    }
  }

  #requestPrompt() {
    showError($("caption-error"), "Write a prompt first");
    $("prompt").focus();
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("caption-error"), error, () => this.request.start());
  }

  #updatePrompt() {
    const isCustom = checkedValue("style") === CUSTOM;
    $("custom-prompt").hidden = !isCustom;
    if (isCustom) $("prompt").focus();
  }
}

/** @returns {import("../server/calls.js").CaptionOptions} the form's options; the prompt may be empty. */
export function readOptions() {
  const style = checkedValue("style");
  const prompt = /** @type {HTMLTextAreaElement} */ ($("prompt")).value.trim();
  const maxTokens = /** @type {HTMLInputElement} */ ($("max-tokens")).valueAsNumber || undefined;
  const limits = { maxTokens, thinkingBudget: thinkingBudget() };
  return style === CUSTOM ? { prompt, ...limits } : { style, ...limits };
}

/** @param {import("../server/calls.js").CaptionOptions} options */
export const promptName = ({ style, prompt }) => prompt ?? `${style} caption`;
