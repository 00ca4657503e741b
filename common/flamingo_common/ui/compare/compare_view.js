/** Two clips side by side: their captions in the same style, and how alike their embeddings are. */

import { fileClip } from "../clip/clip.js";
import { decodeMatrix } from "../panels/embedding_matrix.js";
import { fetchEmbedding, streamText } from "../server/api.js";
import { captionCall, embeddingCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, showError } from "../shared/dom.js";
import { renderStream, RequestButton } from "../shared/streaming.js";
import { cosine, meanVector } from "./cosine.js";

/**
 * @typedef {import("../clip/clip.js").Clip} Clip
 * @typedef {import("../server/calls.js").CaptionOptions} CaptionOptions
 */

export class CompareView {
  /** @type {Clip | null} */
  #second = null;

  /**
   * @param {() => Clip} first
   * @param {{readOptions: () => CaptionOptions,
   *   onText: (clip: Clip, options: CaptionOptions, text: string) => void}} listener
   */
  constructor(first, listener) {
    this.first = first;
    this.listener = listener;
    this.request = new RequestButton(
      $("compare-start"), (signal) => this.#compare(signal), (error) => this.#showError(error));
    const input = /** @type {HTMLInputElement} */ ($("compare-file"));
    input.accept = /** @type {HTMLInputElement} */ ($("file")).accept;
    $("compare-choose").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files?.[0]) this.open(fileClip(input.files[0]));
      input.value = "";
    });
  }

  /** @param {Clip} second the clip to compare the current one with */
  open(second) {
    this.reset();
    this.#second = second;
    $("compare-second").textContent = second.name;
    this.#nameFirst();
    $("compare-columns").hidden = false;
    $("compare-start").hidden = false;
    $("compare").scrollIntoView({ block: "nearest" });
  }

  /** Discard the comparison with the previous clip. */
  reset() {
    this.request.stop();
    for (const id of ["compare-caption-1", "compare-caption-2"]) $(id).replaceChildren();
    for (const id of ["compare-note-1", "compare-note-2", "compare-result"]) $(id).textContent = "";
    $("compare-error").hidden = true;
    this.#nameFirst();
  }

  #nameFirst() {
    $("compare-first").textContent = this.#second ? this.first().name : "";
  }

  /** @param {AbortSignal} signal */
  async #compare(signal) {
    if (!this.#second) return;
    const options = this.listener.readOptions();
    this.#nameFirst();
    $("compare-error").hidden = true;
    $("compare-result").textContent = "";
    if (options.prompt === "") throw new Error("Write a prompt first, beside Custom");
    const clips = [this.first(), this.#second];
    const captions = clips.map((clip, index) => this.#caption(clip, index + 1, options, signal));
    const [similarity] = await Promise.all([similarityOf(clips, signal), ...captions]);
    $("compare-result").textContent =
      `Similarity ${similarity.toFixed(3)}: the cosine of their mean encoder states, at most 1.`;
  }

  /**
   * @param {Clip} clip
   * @param {number} column
   * @param {CaptionOptions} options
   * @param {AbortSignal} signal
   */
  async #caption(clip, column, options, signal) {
    const record = new RequestRecord(captionCall(clip, options));
    const output = $(`compare-caption-${column}`);
    await renderStream(streamText(record, signal), output, $(`compare-note-${column}`));
    this.listener.onText(clip, options, output.textContent ?? "");
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("compare-error"), error);
  }
}

/**
 * @param {Clip[]} clips
 * @param {AbortSignal} signal
 */
async function similarityOf(clips, signal) {
  const vectors = clips.map(async (clip) => {
    const call = embeddingCall(clip, "encoder");
    const record = new RequestRecord({ ...call, fields: { ...call.fields, pooling: "mean" } });
    return meanVector(decodeMatrix(await fetchEmbedding(record, signal)));
  });
  const [one, other] = await Promise.all(vectors);
  return cosine(one, other);
}
