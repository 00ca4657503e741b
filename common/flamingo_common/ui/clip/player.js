/** The player: a play button, the picture of the clip as a slider, and the part that is used. */

import { $, checkedValue } from "../shared/dom.js";
import { formatClock } from "../shared/format.js";
import { decodeClip } from "./decoded_audio.js";
import { PartControls } from "./part_controls.js";
import { spanBetween } from "./span.js";
import { TimeLine } from "./time_line.js";

const STEP_S = 5;
const KEY_STEPS_S = { ArrowRight: STEP_S, ArrowUp: STEP_S, ArrowLeft: -STEP_S, ArrowDown: -STEP_S };
const ZOOM = 1.6;

/**
 * @typedef {import("./clip.js").Clip} Clip
 * @typedef {import("./span.js").Span} Span
 * @typedef {{onLength: (lengthS: number) => void, onPart: () => void}} Listener
 */

export class Player {
  /** @type {Clip | null} */
  #clip = null;
  /** @type {import("./decoded_audio.js").DecodedAudio | null} */
  #decoded = null;
  /** Playback stops here: the end of the part that is played. */
  #stopAtS = Infinity;
  /** @type {((timeS: number) => void)[]} */
  #timeListeners = [];
  #audio = /** @type {HTMLAudioElement} */ ($("audio"));
  #canvas = /** @type {HTMLCanvasElement} */ ($("waveform"));
  #button = /** @type {HTMLButtonElement} */ ($("play"));
  timeLine = new TimeLine(this.#canvas, {
    onSeek: (timeS) => this.seek(timeS),
    onPart: (span) => this.#parts.select(span),
  });
  #parts;

  /** @param {Listener} listener `onLength`: the length of the clip is known, `onPart`: another part */
  constructor(listener) {
    this.listener = listener;
    this.#parts = new PartControls(this.timeLine, {
      onPart: listener.onPart,
      onPlay: (span) => this.#playSpan(span),
    });
    this.#button.addEventListener("click", () => this.#toggle());
    this.#canvas.addEventListener("keydown", (event) => this.#onKey(event));
    for (const event of ["play", "pause", "ended", "timeupdate", "loadedmetadata", "seeked"]) {
      this.#audio.addEventListener(event, () => this.#update());
    }
    this.#audio.addEventListener("play", () => this.#animate());
    this.#audio.addEventListener("error", () => (this.#button.disabled = true));
    $("pictures").addEventListener("change", () =>
      this.timeLine.setPicture(checkedValue("picture") === "spectrogram"));
    $("zoom-in").addEventListener("click", () => this.timeLine.zoom(1 / ZOOM));
    $("zoom-out").addEventListener("click", () => this.timeLine.zoom(ZOOM));
  }

  /** The selected part as a clip; null: the whole clip is used. */
  get part() {
    return this.#parts.part;
  }

  /** @param {(timeS: number) => void} listener called with the playback position, many times a second */
  onTime(listener) {
    this.#timeListeners.push(listener);
  }

  /**
   * Load another clip.
   * @param {Clip} clip a link is not loaded: the page may not
   */
  async load(clip) {
    this.#clip = clip;
    this.#decoded = null;
    URL.revokeObjectURL(this.#audio.src);
    $("waveform-note").hidden = true;
    $("transport").hidden = !clip.file;
    $("link-note").hidden = clip.file !== null;
    this.timeLine.load(null, 0);
    this.#parts.load(clip);
    $("clip-tools").hidden = true;
    if (!clip.file) return this.#unload();
    this.#audio.src = URL.createObjectURL(clip.file);
    this.#button.disabled = false;
    this.#update();
    const lengthS = await this.#headerLength();
    if (this.#clip !== clip) return; // another clip was chosen meanwhile
    this.listener.onLength(lengthS);
    this.timeLine.load(null, lengthS);
    const decoded = await decodeClip(clip.file, lengthS);
    if (this.#clip === clip) this.#onDecoded(clip, decoded);
  }

  /** @param {number} timeS */
  seek(timeS) {
    this.#stopAtS = Infinity;
    this.#audio.currentTime = Math.min(Math.max(0, timeS), this.#length());
  }

  #unload() {
    this.#audio.removeAttribute("src");
    this.#audio.load();
  }

  /** @returns {Promise<number>} the length of the clip by its header; 0 if it is unknown. */
  #headerLength() {
    return new Promise((resolve) => {
      const end = () => resolve(Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0);
      for (const event of ["loadedmetadata", "error", "emptied"]) {
        this.#audio.addEventListener(event, end, { once: true });
      }
      if (this.#audio.readyState > 0) end();
    });
  }

  /**
   * @param {Clip} clip
   * @param {import("./decoded_audio.js").DecodedAudio | null} decoded
   */
  #onDecoded(clip, decoded) {
    this.#decoded = decoded;
    $("waveform-note").hidden = decoded !== null;
    $("clip-tools").hidden = decoded === null;
    if (decoded) {
      this.listener.onLength(decoded.durationS);
      this.timeLine.load(decoded, decoded.durationS);
    }
    this.#update();
  }

  #toggle() {
    this.#stopAtS = Infinity;
    if (!this.#audio.paused) return this.#audio.pause();
    return this.#play();
  }

  /** The "error" event already handles a clip that cannot be played. */
  #play() {
    return this.#audio.play().catch(() => {});
  }

  /** @param {Span} span */
  #playSpan({ startS, endS }) {
    this.seek(startS);
    this.#stopAtS = endS;
    this.#play();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { currentTime: timeS } = this.#audio;
    const { span } = this.#parts;
    const select = (/** @type {number} */ startS, /** @type {number} */ endS) =>
      this.#parts.select(spanBetween(startS, endS, this.#length()));
    const step = KEY_STEPS_S[/** @type {keyof typeof KEY_STEPS_S} */ (event.key)];
    const actions = /** @type {Record<string, () => unknown>} */ ({
      Home: () => this.seek(0),
      End: () => this.seek(this.#length()),
      " ": () => this.#toggle(),
      "[": () => select(timeS, span?.endS ?? this.#length()),
      "]": () => select(span?.startS ?? 0, timeS),
      Escape: () => this.#parts.select(null),
      "+": () => this.timeLine.zoom(1 / ZOOM),
      "-": () => this.timeLine.zoom(ZOOM),
      0: () => this.timeLine.showAll(),
    });
    const act = step ? () => this.seek(timeS + step) : actions[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    act();
    event.preventDefault();
  }

  #length() {
    return this.#decoded?.durationS || (Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0);
  }

  /** Move the playback position with every frame, for as long as the clip plays. */
  #animate() {
    this.#update();
    if (!this.#audio.paused) requestAnimationFrame(() => this.#animate());
  }

  #update() {
    const now = this.#audio.currentTime;
    const length = this.#length();
    if (now >= this.#stopAtS) {
      this.#stopAtS = Infinity;
      this.#audio.pause();
    }
    this.timeLine.setTime(now);
    this.#timeListeners.forEach((listener) => listener(now));
    this.#canvas.setAttribute("aria-valuemax", String(Math.round(length)));
    this.#canvas.setAttribute("aria-valuenow", String(Math.round(now)));
    this.#canvas.setAttribute("aria-valuetext", `${formatClock(now)} of ${formatClock(length)}`);
    $("time").textContent = length ? `${formatClock(now)} / ${formatClock(length)}` : "";
    this.#button.classList.toggle("playing", !this.#audio.paused);
    this.#button.setAttribute("aria-label", this.#audio.paused ? "Play" : "Pause");
  }
}
