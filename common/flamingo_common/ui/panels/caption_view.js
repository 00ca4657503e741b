/** The caption panel: a style or a custom prompt, and the streamed text. */

import { captionFields, ROOT, streamCaption } from "../server/api.js";
import { apiKey } from "../server/credentials.js";
import { $, checkedValue, copyOnClick, showError } from "../shared/dom.js";
import { captionCall, curlCommand, pythonProgram } from "./snippets.js";
import { followEnd } from "../shared/follow.js";
import { renderStream, RequestButton } from "../shared/streaming.js";

const CUSTOM = "custom";

export class CaptionView {
  /** The options of the last request, for the copy buttons. @type {import("../server/api.js").CaptionOptions} */
  #options = {};

  /** @param {() => File} clip */
  constructor(clip) {
    this.clip = clip;
    this.follow = followEnd($("caption"), $("caption-note"));
    this.request = new RequestButton(
      $("generate"), (signal) => this.#generate(signal), (error) => this.#showError(error));
    $("styles").addEventListener("change", () => this.#updatePrompt());
    copyOnClick($("copy-caption"), () => $("caption").textContent ?? "");
    copyOnClick($("caption-curl"), () => this.#curl());
    copyOnClick($("caption-python"), () => this.#python());
    this.#updatePrompt();
  }

  /** Discard the caption of the previous clip. */
  reset() {
    this.request.stop();
    $("caption").replaceChildren();
    $("caption-note").textContent = "";
    $("caption-error").hidden = true;
    $("caption-copies").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #generate(signal) {
    this.#options = readOptions();
    $("caption-error").hidden = true;
    if (this.#options.prompt === "") return this.#requestPrompt();
    $("caption-copies").hidden = false;
    $("copy-caption").hidden = true; // until there is text
    const chunks = streamCaption(this.clip(), captionFields(this.#options), signal);
    this.follow();
    try {
      await renderStream(chunks, $("caption"), $("caption-note"));
    } finally {
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

  #curl() {
    const fields = captionFields(this.#options);
    return curlCommand(ROOT.href, "v1/audio/captions", fields, this.clip().name, apiKey() !== "");
  }

  #python() {
    return pythonProgram(ROOT.href, captionCall(this.clip().name, this.#options));
  }
}

/** @returns {import("../server/api.js").CaptionOptions} the form's options; the prompt may be empty. */
function readOptions() {
  const style = checkedValue("style");
  const prompt = /** @type {HTMLTextAreaElement} */ ($("prompt")).value.trim();
  const maxTokens = /** @type {HTMLInputElement} */ ($("max-tokens")).valueAsNumber || undefined;
  if (style !== CUSTOM) return { style, maxTokens };
  return { prompt, maxTokens };
}
