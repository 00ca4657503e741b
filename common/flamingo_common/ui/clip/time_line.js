/** The picture of a clip: its waveform or spectrogram, the playback position and the selected part. */

import { drawBeats } from "./beats.js";
import { decodedPeaks, drawBars, fitToScreen } from "./waveform.js";
import { follow, shift, spanBetween, zoom } from "./span.js";
import { computeSpectrogram } from "./spectrogram.js";

const DRAG_PX = 4; // a shorter movement of the pointer is a click

/** @typedef {import("./span.js").Span} Span */

export class TimeLine {
  /** @type {import("./decoded_audio.js").DecodedAudio | null} */
  #audio = null;
  #lengthS = 0;
  #timeS = 0;
  /** @type {Span} */
  #view = { startS: 0, endS: 0 };
  /** @type {Span | null} */
  #part = null;
  #beatsS = /** @type {number[]} */ ([]);
  #isSpectrogram = false;
  /** The spectrogram of the view. @type {OffscreenCanvas | null} */
  #image = null;
  #computing = new AbortController();

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{onSeek: (timeS: number) => void, onPart: (part: Span | null) => void}} listener
   */
  constructor(canvas, listener) {
    this.canvas = canvas;
    this.listener = listener;
    canvas.addEventListener("pointerdown", (event) => this.#onPointer(event));
    canvas.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    new ResizeObserver(() => this.#setView(this.#view)).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /**
   * @param {import("./decoded_audio.js").DecodedAudio | null} audio null: it is not decoded
   * @param {number} lengthS 0 while it is unknown
   */
  load(audio, lengthS) {
    this.#audio = audio;
    this.#lengthS = lengthS;
    this.#setView({ startS: 0, endS: lengthS });
  }

  /** @param {number} timeS the playback position; the view follows it */
  setTime(timeS) {
    this.#timeS = timeS;
    const view = follow(this.#view, timeS, this.#lengthS);
    if (view !== this.#view) this.#setView(view);
    else this.draw();
  }

  /** @param {Span | null} part */
  setPart(part) {
    this.#part = part;
    this.draw();
  }

  /** @param {number[]} timesS of the beats, in order */
  setBeats(timesS) {
    this.#beatsS = timesS;
    this.draw();
  }

  /** @param {number} factor above 1 shows more; the playback position stays where it is */
  zoom(factor) {
    const { startS, endS } = this.#view;
    const isInView = this.#timeS >= startS && this.#timeS <= endS;
    this.#zoomAt(factor, isInView ? this.#timeS : (startS + endS) / 2);
  }

  showAll() {
    this.#setView({ startS: 0, endS: this.#lengthS });
  }

  /** @param {boolean} isSpectrogram instead of the waveform */
  setPicture(isSpectrogram) {
    this.#isSpectrogram = isSpectrogram;
    this.canvas.classList.toggle("tall", isSpectrogram);
    this.#setView(this.#view);
  }

  draw() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const { width, height } = fitToScreen(this.canvas, context);
    const style = getComputedStyle(this.canvas);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name);
    if (this.#isSpectrogram && this.#image) context.drawImage(this.#image, 0, 0, width, height);
    else {
      const played = (this.#timeS - this.#view.startS) / this.#widthS;
      const peaks = decodedPeaks(this.#audio, this.#view, width);
      drawBars(context, { peaks, played, width, height, colors: [color("--accent"), color("--wave")] });
    }
    if (this.#part) this.#fade(context, this.#part, height, color("--card"));
    drawBeats(context, this.#beatsS, this.#view, { width, height, color: color("--ink") });
    this.#drawMarks(context, height, color("--accent"));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} height
   * @param {string} color
   */
  #drawMarks(context, height, color) {
    const marks = this.#part ? [this.#part.startS, this.#part.endS, this.#timeS] : [this.#timeS];
    context.fillStyle = color;
    for (const timeS of marks) context.fillRect(this.#toX(timeS) - 0.75, 0, 1.5, height);
  }

  /**
   * Fade what is not selected.
   * @param {CanvasRenderingContext2D} context
   * @param {Span} part
   * @param {number} height
   * @param {string} color
   */
  #fade(context, { startS, endS }, height, color) {
    const [from, to] = [this.#toX(startS), this.#toX(endS)];
    context.fillStyle = color;
    context.globalAlpha = 0.65;
    context.fillRect(0, 0, Math.max(0, from), height);
    context.fillRect(to, 0, Math.max(0, this.canvas.clientWidth - to), height);
    context.globalAlpha = 1;
  }

  /** @param {PointerEvent} event the button goes down: a click seeks, and a drag selects */
  #onPointer(event) {
    if (!this.#lengthS || event.button !== 0) return;
    const startX = event.offsetX;
    /** @type {Span | null} */
    let part = null;
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.onpointermove = ({ offsetX }) => {
      if (!this.#audio || (!part && Math.abs(offsetX - startX) < DRAG_PX)) return;
      part = spanBetween(this.#toTime(startX), this.#toTime(offsetX), this.#lengthS) ?? part;
      if (part) this.setPart(part);
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = ({ type }) => {
      this.canvas.onpointermove = this.canvas.onpointerup = this.canvas.onpointercancel = null;
      if (part) this.listener.onPart(part);
      else if (type === "pointerup") this.listener.onSeek(this.#toTime(startX));
    };
  }

  /** @param {WheelEvent} event with Ctrl it zooms, as pinching does; sideways it moves the view */
  #onWheel(event) {
    const sideways = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey) this.#zoomAt(Math.exp(event.deltaY / 300), this.#toTime(event.offsetX));
    else if (sideways) {
      const startS = this.#view.startS + (sideways / this.canvas.clientWidth) * this.#widthS;
      this.#setView(shift(this.#widthS, startS, this.#lengthS));
    } else return;
    event.preventDefault();
  }

  /**
   * @param {number} factor
   * @param {number} centerS
   */
  #zoomAt(factor, centerS) {
    if (this.#audio) this.#setView(zoom(this.#view, factor, centerS, this.#lengthS));
  }

  /** @param {Span} view */
  async #setView(view) {
    this.#view = view;
    this.draw();
    this.#computing.abort();
    if (!this.#isSpectrogram || !this.#audio || !this.canvas.clientWidth) return;
    this.#computing = new AbortController();
    const width = Math.min(1200, this.canvas.clientWidth);
    const image = await computeSpectrogram(this.#audio, view, width, this.#computing.signal);
    if (!image) return; // the view has changed meanwhile
    this.#image = new OffscreenCanvas(image.width, image.height);
    this.#image.getContext("2d")?.putImageData(image, 0, 0);
    this.draw();
  }

  get #widthS() {
    return this.#view.endS - this.#view.startS || 1;
  }

  /** @param {number} timeS */
  #toX(timeS) {
    return ((timeS - this.#view.startS) / this.#widthS) * this.canvas.clientWidth;
  }

  /** @param {number} x */
  #toTime(x) {
    return this.#view.startS + (x / this.canvas.clientWidth) * this.#widthS;
  }
}
