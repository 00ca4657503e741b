/** Plays the chosen clip: a button, the waveform as a slider, the time. */

import { $ } from "./dom.js";
import { clock } from "./format.js";
import { draw, outline } from "./waveform.js";

const STEP_S = 5;
const KEYS = { ArrowRight: STEP_S, ArrowUp: STEP_S, ArrowLeft: -STEP_S, ArrowDown: -STEP_S };

export class Player {
  /** @type {Float32Array | null} */
  #peaks = null;
  /** The clip's length in seconds: the decoder's word, or the audio element's. */
  #duration = 0;
  #audio = /** @type {HTMLAudioElement} */ ($("audio"));
  #canvas = /** @type {HTMLCanvasElement} */ ($("waveform"));
  #button = /** @type {HTMLButtonElement} */ ($("play"));

  constructor() {
    this.#button.addEventListener("click", () => this.#toggle());
    this.#canvas.addEventListener("pointerdown", (event) => this.#seekTo(event));
    this.#canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata", "seeked"]) {
      this.#audio.addEventListener(event, () => this.#show());
    }
    this.#audio.addEventListener("error", () => (this.#button.disabled = true));
    new ResizeObserver(() => this.#show()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show());
  }

  /**
   * Take another clip.
   * @param {File} file
   */
  async load(file) {
    URL.revokeObjectURL(this.#audio.src);
    this.#audio.src = URL.createObjectURL(file);
    this.#button.disabled = false;
    this.#peaks = null;
    this.#duration = 0;
    $("waveform-note").hidden = true;
    this.#show();
    const source = this.#audio.src;
    const found = await outline(file);
    if (this.#audio.src !== source) return; // another clip was chosen meanwhile
    this.#peaks = found?.peaks ?? null;
    this.#duration = found?.duration ?? 0;
    $("waveform-note").hidden = found !== null;
    this.#show();
  }

  #toggle() {
    if (!this.#audio.paused) return this.#audio.pause();
    // The "error" event already speaks of a clip that cannot be played.
    return this.#audio.play().catch(() => {});
  }

  /** @param {PointerEvent} event */
  #seekTo(event) {
    this.#seek((event.offsetX / this.#canvas.clientWidth) * this.#length());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = KEYS[/** @type {keyof typeof KEYS} */ (event.key)];
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
    return this.#duration || (Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0);
  }

  #show() {
    const now = this.#audio.currentTime;
    const length = this.#length();
    draw(this.#canvas, this.#peaks, length ? now / length : 0);
    this.#canvas.setAttribute("aria-valuemax", String(Math.round(length)));
    this.#canvas.setAttribute("aria-valuenow", String(Math.round(now)));
    this.#canvas.setAttribute("aria-valuetext", `${clock(now)} of ${clock(length)}`);
    $("time").textContent = length ? `${clock(now)} / ${clock(length)}` : "";
    this.#button.classList.toggle("playing", !this.#audio.paused);
    this.#button.setAttribute("aria-label", this.#audio.paused ? "Play" : "Pause");
  }
}
