/** The header: the model and its limits, whether the server is there, and its key. */

import { fetchFeatures, fetchModel } from "../server/api.js";
import { connectionEvents } from "../server/connection.js";
import { enterKey, keyEvents, setKeyPrompt } from "../server/credentials.js";
import { $, showError } from "../shared/dom.js";
import { formatCount, formatDuration } from "../shared/format.js";
import { setRemedy } from "../shared/remedies.js";
import { openKeyDialog } from "./key_dialog.js";

const RETRY_INTERVAL_MS = 3000;

/**
 * @typedef {{onModel: (card: import("../server/api.js").ModelCard) => void,
 *   onFeatures: (features: import("../server/api.js").Features) => void,
 *   onRefresh: () => void}} Listener `onRefresh` is called after an interruption, and with another key
 */

export class ServerView {
  #hasFeatures = false;
  #modelTimer = 0;

  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    setKeyPrompt(openKeyDialog);
    setRemedy("invalid_api_key", { label: () => "Enter an API key", act: enterKey });
    $("key-button").addEventListener("click", enterKey);
    keyEvents.addEventListener("required", () => ($("key-button").hidden = false));
    keyEvents.addEventListener("entered", () => this.#onKey());
    connectionEvents.addEventListener("lost", () => this.#onLost());
    connectionEvents.addEventListener("restored", () => this.#onRestored());
  }

  start() {
    this.#showModel();
    this.#fetchFeatures();
  }

  #onKey() {
    $("key-button").textContent = "Change API key";
    this.#refresh();
  }

  #onLost() {
    document.body.classList.add("offline");
    showError($("server-error"), "Cannot reach the server. This page tries again by itself.");
  }

  #onRestored() {
    document.body.classList.remove("offline");
    this.#refresh();
  }

  #refresh() {
    this.#showModel();
    if (!this.#hasFeatures) this.#fetchFeatures();
    this.listener.onRefresh();
  }

  /** Show the model and its limits; retries until a model is served. */
  async #showModel() {
    clearTimeout(this.#modelTimer);
    try {
      const card = await fetchModel();
      const layers = Object.entries(card.embedding_dimensions);
      $("model").textContent = card.id;
      $("limits").textContent = [
        `audio up to ${formatDuration(card.max_audio_seconds)}`,
        `context ${formatCount(card.context_tokens)} tokens`,
        ...layers.map(([layer, width]) => `${layer} ${formatCount(width)} dimensions`),
      ].join(" · ");
      $("banner").hidden = !card.random_weights;
      $("server-error").hidden = true;
      this.listener.onModel(card);
    } catch (error) {
      showError($("server-error"), error);
      this.#modelTimer = setTimeout(() => this.#showModel(), RETRY_INTERVAL_MS);
    }
  }

  /** Find out what this server has beside a model: an example clip, a fleet, batches. */
  async #fetchFeatures() {
    try {
      this.listener.onFeatures(await fetchFeatures());
      this.#hasFeatures = true;
    } catch (error) {
      showError($("server-error"), error);
    }
  }
}
