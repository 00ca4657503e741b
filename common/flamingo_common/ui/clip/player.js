/** The player: a play button, the waveform as a slider, and the time. */

import { $ } from "../shared/dom.js";
import { formatClock } from "../shared/format.js";
import { computePeaks, drawWaveform } from "./waveform.js";

const STEP_S = 5;
const KEY_STEPS_S = { ArrowRight: STEP_S, ArrowUp: STEP_S, ArrowLeft: -STEP_S, ArrowDown: -STEP_S };

export class Player {
  /** @type {Float32Array | null} */
  #peaks = null;
  /** The clip's length in seconds by the decoder; 0 if it is not decoded. */
  #decodedLength = 0;
  #audio = /** @type {HTMLAudioElement} */ ($("audio"));
  #canvas = /** @type {HTMLCanvasElement} */ ($("waveform"));
  #button = /** @type {HTMLButtonElement} */ ($("play"));

  /** @param {(lengthS: number) => void} onLength called when the length of the clip is known */
  constructor(onLength) {
    this.#button.addEventListener("click", () => this.#toggle());
    this.#canvas.addEventListener("pointerdown", (event) => this.#seekToPointer(event));
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
    for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata", "seeked"]) {
      this.#audio.addEventListener(event, () => this.#update());
    }
    this.#audio.addEventListener("loadedmetadata", () => onLength(this.#length()));
    this.#audio.addEventListener("error", () => (this.#button.disabled = true));
    new ResizeObserver(() => this.#update()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#update());
  }

  /**
   * Load another clip.
   * @param {File | null} file null: the clip is a link, which the page may not load
   */
  async load(file) {
    URL.revokeObjectURL(this.#audio.src);
    $("transport").hidden = !file;
    $("link-note").hidden = file !== null;
    if (!file) return this.#unload();
    this.#audio.src = URL.createObjectURL(file);
    this.#button.disabled = false;
    this.#peaks = null;
    this.#decodedLength = 0;
    $("waveform-note").hidden = true;
    this.#update();
    const source = this.#audio.src;
    const decoded = await computePeaks(file);
    if (this.#audio.src !== source) return; // another clip was chosen meanwhile
    this.#peaks = decoded?.peaks ?? null;
    this.#decodedLength = decoded?.duration ?? 0;
    $("waveform-note").hidden = decoded !== null;
    this.#update();
  }

  #unload() {
    this.#audio.removeAttribute("src");
    this.#audio.load();
    $("waveform-note").hidden = true;
  }

  #toggle() {
    if (!this.#audio.paused) return this.#audio.pause();
    // The "error" event already handles a clip that cannot be played.
    return this.#audio.play().catch(() => {});
  }

  /** @param {PointerEvent} event */
  #seekToPointer(event) {
    this.#seek((event.offsetX / this.#canvas.clientWidth) * this.#length());
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const step = KEY_STEPS_S[/** @type {keyof typeof KEY_STEPS_S} */ (event.key)];
    if (step) this.#seek(this.#audio.currentTime + step);
    else if (event.key === "Home") this.#seek(0);
    else if (event.key === "End") this.#seek(this.#length());
    else if (event.key === " ") this.#toggle();
    else return;
    event.preventDefault();
  }

  /** @param {number} seconds */
  #seek(seconds) {
    this.#audio.currentTime = Math.min(Math.max(0, seconds), this.#length());
  }

  #length() {
    return this.#decodedLength || (Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0);
  }

  #update() {
    const now = this.#audio.currentTime;
    const length = this.#length();
    drawWaveform(this.#canvas, this.#peaks, length ? now / length : 0);
    this.#canvas.setAttribute("aria-valuemax", String(Math.round(length)));
    this.#canvas.setAttribute("aria-valuenow", String(Math.round(now)));
    this.#canvas.setAttribute("aria-valuetext", `${formatClock(now)} of ${formatClock(length)}`);
    $("time").textContent = length ? `${formatClock(now)} / ${formatClock(length)}` : "";
    this.#button.classList.toggle("playing", !this.#audio.paused);
    this.#button.setAttribute("aria-label", this.#audio.paused ? "Play" : "Pause");
  }
}
