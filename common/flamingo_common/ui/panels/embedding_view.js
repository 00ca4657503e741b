/** The embedding panel: a heat map, and a file to download. */

import { embeddingFields, fetchEmbedding, ROOT } from "../server/api.js";
import { apiKey } from "../server/credentials.js";
import { $, checkedValue, copyOnClick, download, showError } from "../shared/dom.js";
import { decodeMatrix, drawHeatmap, encodeNpy } from "./embedding_matrix.js";
import { formatCount, missingNote } from "../shared/format.js";
import { curlCommand, embedCall, pythonProgram } from "./snippets.js";
import { RequestButton } from "../shared/streaming.js";

export class EmbeddingView {
  /** @type {import("./embedding_matrix.js").Matrix | null} */
  #matrix = null;
  /** The layer of the last request. */
  #layer = "encoder";

  /** @param {() => File} clip */
  constructor(clip) {
    this.clip = clip;
    this.request = new RequestButton(
      $("embed"), (signal) => this.#embed(signal), (error) => this.#showError(error));
    $("download").addEventListener("click", () => this.#download());
    copyOnClick($("embedding-curl"), () => this.#curl());
    copyOnClick($("embedding-python"), () => this.#python());
  }

  /** Discard the embedding of the previous clip. */
  reset() {
    this.request.stop();
    this.#matrix = null;
    $("embedding-note").textContent = "";
    $("embedding-error").hidden = true;
    $("heatmap-figure").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #embed(signal) {
    this.#layer = checkedValue("layer");
    $("embedding-error").hidden = true;
    $("embedding-note").textContent = "Processing audio…";
    try {
      const embedding = await fetchEmbedding(this.clip(), embeddingFields(this.#layer), signal);
      this.#matrix = decodeMatrix(embedding);
      this.#showMatrix(embedding.layer);
      $("embedding-note").textContent = missingNote(embedding.missingS);
    } catch (error) {
      $("embedding-note").textContent = "";
      throw error;
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

  #curl() {
    const fields = embeddingFields(this.#layer);
    return curlCommand(ROOT.href, "v1/audio/embeddings", fields, this.clip().name, apiKey() !== "");
  }

  #python() {
    return pythonProgram(ROOT.href, embedCall(this.clip().name, this.#layer));
  }
}
