/** An answer that arrives word by word, and the button that starts and stops it. */

import { isStop } from "./dom.js";
import { count } from "./format.js";

/**
 * One piece of work at a time behind one button: it starts the work, and while
 * the work runs it stops it.
 */
export class Job {
  /** @type {AbortController | null} */
  #running = null;

  /**
   * @param {HTMLElement} button
   * @param {(signal: AbortSignal) => Promise<void>} work
   * @param {(error: unknown) => void} failed
   */
  constructor(button, work, failed) {
    this.button = button;
    this.work = work;
    this.failed = failed;
    this.label = button.textContent ?? "";
    button.addEventListener("click", () => (this.#running ? this.stop() : this.start()));
  }

  get isRunning() {
    return this.#running !== null;
  }

  stop() {
    this.#running?.abort();
    this.#settle();
  }

  async start() {
    const controller = new AbortController();
    this.#running = controller;
    this.button.textContent = "Stop";
    this.button.classList.add("stop");
    try {
      await this.work(controller.signal);
    } catch (error) {
      if (!isStop(error)) this.failed(error);
    }
    if (this.#running === controller) this.#settle(); // else it was stopped, perhaps restarted
  }

  #settle() {
    this.#running = null;
    this.button.textContent = this.label;
    this.button.classList.remove("stop");
  }
}

/**
 * Write `chunks` into `place` as they come, and into `note` how it goes.
 * @param {AsyncIterable<import("./api.js").Chunk>} chunks
 * @param {HTMLElement} place emptied first; screen readers wait until it is whole
 * @param {HTMLElement} note
 */
export async function arrive(chunks, place, note) {
  const words = document.createTextNode("");
  const facts = { startedMs: performance.now(), firstMs: 0, finish: "", tokens: 0, audioS: 0 };
  const waiting = setInterval(() => (note.textContent = waitNote(facts)), 250);
  place.replaceChildren(words);
  place.setAttribute("aria-busy", "true");
  note.textContent = waitNote(facts);
  try {
    for await (const chunk of chunks) {
      if (chunk.delta) facts.firstMs ||= performance.now();
      words.appendData(chunk.delta);
      facts.finish = chunk.finish ?? facts.finish;
      facts.tokens = chunk.usage?.completion_tokens ?? facts.tokens;
      facts.audioS = chunk.usage?.audio_seconds ?? facts.audioS;
    }
    note.textContent = endNote(facts, performance.now());
  } catch (error) {
    note.textContent = isStop(error) ? "Stopped." : "";
    throw error;
  } finally {
    clearInterval(waiting);
    place.setAttribute("aria-busy", "false");
  }
}

/** @param {{startedMs: number, firstMs: number}} facts */
function waitNote({ startedMs, firstMs }) {
  if (firstMs) return "Writing…";
  const waited = Math.floor((performance.now() - startedMs) / 1000);
  return waited ? `Listening… ${waited} s` : "Listening…";
}

/**
 * @param {{startedMs: number, firstMs: number, finish: string, tokens: number, audioS: number}} facts
 * @param {number} nowMs
 */
function endNote({ startedMs, firstMs, finish, tokens, audioS }, nowMs) {
  const seconds = (/** @type {number} */ ms) => `${((ms - startedMs) / 1000).toFixed(1)} s`;
  return [
    finish === "length" ? "Cut off at the token limit" : "",
    audioS ? `${audioS.toFixed(1)} s of audio` : "",
    tokens ? `${count(tokens)} tokens` : "",
    firstMs ? `first word after ${seconds(firstMs)}` : "",
    `${seconds(nowMs)} in all`,
  ].filter(Boolean).join(" · ");
}
