/** The embedding panel: a heat map, and a file to download. */

import { fetchEmbedding } from "../server/api.js";
import { embeddingCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, checkedValue, download, showError } from "../shared/dom.js";
import { decodeMatrix, drawHeatmap, drawSimilarity, encodeNpy } from "./embedding_matrix.js";
import { baseName, formatCount, missingNote } from "../shared/format.js";
import { RequestButton } from "../shared/streaming.js";
import { RequestDetails } from "./request_details.js";
import { selfSimilarity } from "./self_similarity.js";

const FRAME_S = 0.04;

export class EmbeddingView {
  /** @type {import("./embedding_matrix.js").Matrix | null} */
  #matrix = null;
  #details = new RequestDetails($("embedding-request"), "embedding");

  /** The clip of the embedding that is shown. @type {import("../clip/clip.js").Clip | null} */
  #shown = null;

  /**
   * @param {() => import("../clip/clip.js").Clip} clip
   * @param {import("../clip/player.js").Player} player
   */
  constructor(clip, player) {
    this.clip = clip;
    this.player = player;
    player.onTime((timeS) => this.#follow(timeS));
    for (const id of ["heatmap", "similarity"]) {
      $(id).addEventListener("click", (event) => this.#seek(event));
    }
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
    $("similarity-figure").hidden = true;
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
      this.#shown = record.call.clip;
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
    drawSimilarity(/** @type {HTMLCanvasElement} */ ($("similarity")), selfSimilarity(this.#matrix));
    $("similarity-figure").hidden = rows < 2;
    $("shape").textContent = `${formatCount(rows)} frames × ${formatCount(columns)} dimensions`;
    canvas.setAttribute(
      "aria-label", `Heat map of the ${layer} embedding: ${rows} frames, ${columns} dimensions`);
    $("heatmap-figure").hidden = false;
  }

  /** @param {number} timeS the playback position, which the pictures show */
  #follow(timeS) {
    if (!this.#matrix || !this.#shown) return;
    const share = (timeS - this.#shown.startS) / (this.#matrix.rows * FRAME_S);
    const place = `${100 * Math.min(Math.max(share, 0), 1)}%`;
    for (const mark of document.querySelectorAll(".playhead")) {
      /** @type {HTMLElement} */ (mark).style.insetInlineStart = place;
    }
  }

  /** @param {MouseEvent} event a click on a picture plays from there */
  #seek(event) {
    const canvas = /** @type {HTMLElement} */ (event.currentTarget);
    if (!this.#matrix || !this.#shown) return;
    const share = event.offsetX / canvas.clientWidth;
    this.player.seek(this.#shown.startS + share * this.#matrix.rows * FRAME_S);
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("embedding-error"), error, () => this.request.start());
  }

  #download() {
    const { name } = this.#shown ?? this.clip();
    if (this.#matrix) download(encodeNpy(this.#matrix), `${baseName(name)}.npy`);
  }
}
