/** The embedding panel: a heat map, and a file to download. */

import { fetchEmbedding } from "../server/api.js";
import { embeddingCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, checkedValue, download, showError } from "../shared/dom.js";
import { decodeMatrix, drawHeatmap, encodeNpy } from "./embedding_matrix.js";
import { formatCount, missingNote } from "../shared/format.js";
import { RequestButton } from "../shared/streaming.js";
import { RequestDetails } from "./request_details.js";

export class EmbeddingView {
  /** @type {import("./embedding_matrix.js").Matrix | null} */
  #matrix = null;
  #details = new RequestDetails($("embedding-request"), "embedding");

  /** @param {() => import("../clip/clip.js").Clip} clip */
  constructor(clip) {
    this.clip = clip;
    this.request = new RequestButton(
      $("embed"), (signal) => this.#embed(signal), (error) => this.#showError(error));
    $("download").addEventListener("click", () => this.#download());
  }

  /** Discard the embedding of the previous clip. */
  reset() {
    this.request.stop();
    this.#matrix = null;
    this.#details.reset();
    $("embedding-note").textContent = "";
    $("embedding-error").hidden = true;
    $("heatmap-figure").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #embed(signal) {
    const record = new RequestRecord(embeddingCall(this.clip(), checkedValue("layer")));
    $("embedding-error").hidden = true;
    $("embedding-note").textContent = "Processing audio…";
    this.#details.begin(record);
    try {
      const embedding = await fetchEmbedding(record, signal);
      this.#matrix = decodeMatrix(embedding);
      this.#showMatrix(embedding.layer);
      $("embedding-note").textContent = missingNote(embedding.missingS);
    } catch (error) {
      $("embedding-note").textContent = "";
      throw error;
    } finally {
      this.#details.end(record);
    }
  }

  /** @param {string} layer */
  #showMatrix(layer) {
    if (!this.#matrix) return;
    const { rows, columns } = this.#matrix;
    const canvas = /** @type {HTMLCanvasElement} */ ($("heatmap"));
    drawHeatmap(canvas, this.#matrix);
    $("shape").textContent = `${formatCount(rows)} frames × ${formatCount(columns)} dimensions`;
    canvas.setAttribute(
      "aria-label", `Heat map of the ${layer} embedding: ${rows} frames, ${columns} dimensions`);
    $("heatmap-figure").hidden = false;
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("embedding-error"), error, () => this.request.start());
  }

  #download() {
    const name = this.clip().name.replace(/\.[^.]*$/, "");
    if (this.#matrix) download(encodeNpy(this.#matrix), `${name}.npy`);
  }
}
