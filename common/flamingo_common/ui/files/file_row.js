/** One file of the table: its state, and the caption as it is generated. */

import { streamText } from "../server/api.js";
import { captionCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { createElement, errorSentence, isAbort } from "../shared/dom.js";
import { formatSize } from "../shared/format.js";
import { sendPatiently } from "./patient.js";

/** @typedef {"waiting" | "running" | "done" | "failed"} State */

export class FileRow {
  /** @type {State} */
  state = "waiting";
  /** @type {RequestRecord | null} */
  #record = null;
  #finish = "";
  #error = "";
  #state = createElement("span", "state", "waiting");
  #text = createElement("p", "generated");

  /**
   * @param {import("../clip/clip.js").Clip} clip
   * @param {(clip: import("../clip/clip.js").Clip) => void} onOpen
   * @param {(clip: import("../clip/clip.js").Clip) => void} onCompare
   */
  constructor(clip, onOpen, onCompare) {
    this.clip = clip;
    this.element = createElement("tr");
    const name = /** @type {HTMLButtonElement} */ (createElement("button", "quiet name", clip.name));
    name.type = "button";
    name.title = "Open this clip";
    name.addEventListener("click", () => onOpen(clip));
    const head = createElement("th");
    head.setAttribute("scope", "row");
    const compare = /** @type {HTMLButtonElement} */ (createElement("button", "quiet", "Compare"));
    compare.type = "button";
    compare.setAttribute("aria-label", `Compare ${clip.name} with the open clip`);
    compare.addEventListener("click", () => onCompare(clip));
    head.append(name, createElement("span", "note", clip.file ? formatSize(clip.file.size) : "link"), compare);
    this.element.append(head, cell(this.#state), cell(this.#text));
  }

  /** @returns {import("./export.js").Result} */
  get result() {
    const { usage, requestId } = this.#record ?? {};
    return {
      file: this.clip.name,
      ...(this.clip.url ? { url: this.clip.url } : {}),
      caption: this.state === "done" ? this.#text.textContent : null,
      audio_seconds: usage?.audio_seconds ?? null,
      completion_tokens: usage?.completion_tokens ?? null,
      finish_reason: this.#finish || null,
      request_id: requestId || null,
      error: this.#error || null,
    };
  }

  /** Discard the caption. */
  reset() {
    this.#record = null;
    this.#finish = this.#error = "";
    this.#text.textContent = "";
    this.#setState("waiting");
  }

  /**
   * Have the file captioned. Does not fail: the row has the error.
   * @param {import("../server/calls.js").CaptionOptions} options
   * @param {AbortSignal} signal
   */
  async run(options, signal) {
    this.#setState("running");
    try {
      await sendPatiently(signal, () => this.#caption(options, signal));
      this.#setState("done");
    } catch (error) {
      if (isAbort(error)) return this.reset();
      this.#text.textContent = this.#error = errorSentence(error);
      this.#setState("failed");
    }
  }

  /**
   * @param {import("../server/calls.js").CaptionOptions} options
   * @param {AbortSignal} signal
   */
  async #caption(options, signal) {
    this.#record = new RequestRecord(captionCall(this.clip, options));
    this.#text.textContent = this.#error = "";
    for await (const chunk of streamText(this.#record, signal)) {
      this.#text.append(chunk.delta);
      this.#finish = chunk.finish ?? this.#finish;
    }
  }

  /** @param {State} state */
  #setState(state) {
    this.state = state;
    this.element.dataset.state = state;
    this.#state.textContent = state;
  }
}

/** @param {HTMLElement} content */
function cell(content) {
  const element = createElement("td");
  element.append(content);
  return element;
}
