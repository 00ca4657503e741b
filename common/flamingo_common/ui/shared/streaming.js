/** Streamed text, and the button that starts and stops the request behind it. */

import { isAbort } from "./dom.js";
import { formatCount, missingNote } from "./format.js";

/** A button that starts a request, and stops it while it runs. */
export class RequestButton {
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {HTMLElement} button
   * @param {(signal: AbortSignal) => Promise<void>} send
   * @param {(error: unknown) => void} onError
   */
  constructor(button, send, onError) {
    this.button = button;
    this.send = send;
    this.onError = onError;
    this.label = button.textContent ?? "";
    button.addEventListener("click", () => (this.#running ? this.stop() : this.start()));
  }

  get isRunning() {
    return this.#running !== null;
  }

  stop() {
    this.#running?.abort();
    this.#reset();
  }

  async start() {
    const controller = new AbortController();
    this.#running = controller;
    this.button.textContent = "Stop";
    this.button.classList.add("stop");
    try {
      await this.send(controller.signal);
    } catch (error) {
      if (!isAbort(error)) this.onError(error);
    }
    if (this.#running === controller) this.#reset(); // else it was stopped, perhaps restarted
  }

  #reset() {
    this.#running = null;
    this.button.textContent = this.label;
    this.button.classList.remove("stop");
  }
}

/**
 * Append `chunks` to `output` as they arrive, and show the progress in `note`.
 * @param {AsyncIterable<import("../server/api.js").Chunk>} chunks
 * @param {HTMLElement} output cleared first; screen readers wait until it is complete
 * @param {HTMLElement} note
 */
export async function renderStream(chunks, output, note) {
  const text = document.createTextNode("");
  const stats = {
    startedMs: performance.now(), firstMs: 0, hasText: false, finish: "", tokens: 0, audioS: 0, missingS: 0,
  };
  const timer = setInterval(() => (note.textContent = progressNote(stats)), 250);
  output.replaceChildren(text);
  output.setAttribute("aria-busy", "true");
  note.textContent = progressNote(stats);
  try {
    for await (const chunk of chunks) {
      if (chunk.delta || chunk.reasoning) stats.firstMs ||= performance.now();
      stats.hasText ||= Boolean(chunk.delta);
      text.appendData(chunk.delta);
      stats.finish = chunk.finish ?? stats.finish;
      stats.tokens = chunk.usage?.completion_tokens ?? stats.tokens;
      stats.audioS = chunk.usage?.audio_seconds ?? stats.audioS;
      stats.missingS = chunk.usage?.audio_missing_seconds ?? stats.missingS;
    }
    note.textContent = summaryNote(stats, performance.now());
  } catch (error) {
    note.textContent = isAbort(error) ? "Stopped." : "";
    throw error;
  } finally {
    clearInterval(timer);
    output.setAttribute("aria-busy", "false");
  }
}

/** @param {{startedMs: number, firstMs: number, hasText: boolean}} stats */
function progressNote({ startedMs, firstMs, hasText }) {
  if (firstMs) return hasText ? "Generating…" : "Reasoning…";
  const elapsedS = Math.floor((performance.now() - startedMs) / 1000);
  return elapsedS ? `Processing audio… ${elapsedS} s` : "Processing audio…";
}

/**
 * @param {{startedMs: number, firstMs: number, finish: string, tokens: number, audioS: number,
 *   missingS: number}} stats
 * @param {number} nowMs
 */
function summaryNote({ startedMs, firstMs, finish, tokens, audioS, missingS }, nowMs) {
  const seconds = (/** @type {number} */ ms) => `${((ms - startedMs) / 1000).toFixed(1)} s`;
  return [
    finish === "length" ? "Token limit reached" : "",
    audioS ? `${audioS.toFixed(1)} s of audio` : "",
    missingNote(missingS),
    tokens ? `${formatCount(tokens)} tokens` : "",
    firstMs ? `first token after ${seconds(firstMs)}` : "",
    `${seconds(nowMs)} total`,
  ].filter(Boolean).join(" · ");
}
