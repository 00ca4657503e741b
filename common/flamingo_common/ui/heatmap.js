/** The embedding: computed on demand, shown as a picture, kept as a file. */

import { Job } from "./answer.js";
import { embed, embeddingFields, ROOT } from "./api.js";
import { key } from "./credentials.js";
import { $, chosen, copy, download, showError } from "./dom.js";
import { decode, npy, paint } from "./embedding.js";
import { count } from "./format.js";
import { curl, embedCall, python } from "./snippets.js";

export class EmbeddingView {
  /** @type {import("./embedding.js").Matrix | null} */
  #matrix = null;
  /** The layer asked for last. */
  #layer = "encoder";

  /** @param {() => File} clip */
  constructor(clip) {
    this.clip = clip;
    this.job = new Job($("embed"), (signal) => this.#embed(signal), (error) => this.#fail(error));
    $("download").addEventListener("click", () => this.#download());
    $("embedding-curl").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#curl()));
    $("embedding-python").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#python()));
  }

  /** Forget the last clip's embedding. */
  reset() {
    this.job.stop();
    this.#matrix = null;
    $("embedding-note").textContent = "";
    $("embedding-error").hidden = true;
    $("picture").hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #embed(signal) {
    this.#layer = chosen("layer");
    $("embedding-error").hidden = true;
    $("embedding-note").textContent = "Listening…";
    try {
      const embedding = await embed(this.clip(), embeddingFields(this.#layer), signal);
      this.#matrix = decode(embedding);
      this.#show(embedding.layer);
    } finally {
      $("embedding-note").textContent = "";
    }
  }

  /** @param {string} layer */
  #show(layer) {
    if (!this.#matrix) return;
    const { rows, columns } = this.#matrix;
    const canvas = /** @type {HTMLCanvasElement} */ ($("heatmap"));
    paint(canvas, this.#matrix);
    $("shape").textContent = `${count(rows)} frames × ${count(columns)} dims`;
    canvas.setAttribute("aria-label", `Heat map of the ${layer}'s states: ${rows} by ${columns}`);
    $("picture").hidden = false;
  }

  /** @param {unknown} error */
  #fail(error) {
    showError($("embedding-error"), error);
  }

  #download() {
    const name = this.clip().name.replace(/\.[^.]*$/, "");
    if (this.#matrix) download(npy(this.#matrix), `${name}.npy`);
  }

  #curl() {
    const fields = embeddingFields(this.#layer);
    return curl(ROOT.href, "v1/audio/embeddings", fields, this.clip().name, key() !== "");
  }

  #python() {
    return python(ROOT.href, embedCall(this.clip().name, this.#layer));
  }
}
