/** The caption: a style or one's own words, and the text as it arrives. */

import { arrive, Job } from "./answer.js";
import { caption, captionFields, ROOT } from "./api.js";
import { key } from "./credentials.js";
import { $, chosen, copy, showError } from "./dom.js";
import { captionCall, curl, python } from "./snippets.js";

const OWN_WORDS = "own";

export class CaptionView {
  /** What was asked last, for the copy buttons. @type {import("./api.js").CaptionOptions} */
  #asked = {};

  /** @param {() => File} clip */
  constructor(clip) {
    this.clip = clip;
    this.job = new Job($("write"), (signal) => this.#write(signal), (error) => this.#fail(error));
    $("styles").addEventListener("change", () => this.#showPrompt());
    $("copy-caption").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), $("caption").textContent ?? ""));
    $("caption-curl").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#curl()));
    $("caption-python").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#python()));
    this.#showPrompt();
  }

  /** Forget the last clip's caption. */
  reset() {
    this.job.stop();
    $("caption").replaceChildren();
    $("caption-note").textContent = "";
    $("caption-error").hidden = true;
    $("caption-copies").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #write(signal) {
    this.#asked = options();
    $("caption-error").hidden = true;
    $("caption-copies").hidden = false;
    const chunks = caption(this.clip(), captionFields(this.#asked), signal);
    await arrive(chunks, $("caption"), $("caption-note"));
  }

  /** @param {unknown} error */
  #fail(error) {
    showError($("caption-error"), error);
  }

  #showPrompt() {
    const own = chosen("style") === OWN_WORDS;
    $("own-prompt").hidden = !own;
    if (own) $("prompt").focus();
  }

  #curl() {
    const fields = captionFields(this.#asked);
    return curl(ROOT.href, "v1/audio/captions", fields, this.clip().name, key() !== "");
  }

  #python() {
    return python(ROOT.href, captionCall(this.clip().name, this.#asked));
  }
}

/** @returns {import("./api.js").CaptionOptions} what the form says; an empty prompt is no prompt. */
function options() {
  const style = chosen("style");
  const prompt = /** @type {HTMLTextAreaElement} */ ($("prompt")).value.trim();
  const maxTokens = /** @type {HTMLInputElement} */ ($("max-tokens")).valueAsNumber || undefined;
  if (style !== OWN_WORDS) return { style, maxTokens };
  return prompt ? { prompt, maxTokens } : { style: "detailed", maxTokens };
}
