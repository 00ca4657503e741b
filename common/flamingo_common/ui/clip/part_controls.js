/** The part of the clip that is used: its times, which can be written, and what can be done with it. */

import { $, showError } from "../shared/dom.js";
import { formatSpan, formatTenths, parseSpan } from "./span.js";

/** @typedef {import("./span.js").Span} Span */

export class PartControls {
  /** The selected part as a clip; null: the whole clip is used. @type {import("./clip.js").Clip | null} */
  part = null;
  /** @type {Span | null} */
  span = null;
  /** @type {import("./clip.js").Clip | null} */
  #clip = null;
  #start = /** @type {HTMLInputElement} */ ($("part-start"));
  #end = /** @type {HTMLInputElement} */ ($("part-end"));

  /**
   * @param {import("./time_line.js").TimeLine} timeLine
   * @param {{onPart: () => void, onPlay: (span: Span) => void}} listener
   */
  constructor(timeLine, listener) {
    this.timeLine = timeLine;
    this.listener = listener;
    $("part-play").addEventListener("click", () => this.span && listener.onPlay(this.span));
    $("part-clear").addEventListener("click", () => this.select(null));
    for (const input of [this.#start, this.#end]) {
      input.addEventListener("change", () => this.#selectWritten());
    }
  }

  /**
   * Use the whole of another clip.
   * @param {import("./clip.js").Clip} clip
   */
  load(clip) {
    this.#clip = clip;
    this.#show(null);
  }

  /** @param {Span | null} span */
  select(span) {
    this.#show(span);
    this.listener.onPart();
  }

  #selectWritten() {
    try {
      this.select(parseSpan(this.#start.value, this.#end.value, this.#clip?.durationS || Infinity));
    } catch (error) {
      this.#setFault(true);
      showError($("part-error"), error);
    }
  }

  /** @param {Span | null} span */
  #show(span) {
    this.span = span;
    this.part = this.#clip && span ? this.#clip.part(span) : null;
    this.timeLine.setPart(span);
    this.#start.value = span?.startS ? formatTenths(span.startS) : "";
    this.#end.value = span && Number.isFinite(span.endS) ? formatTenths(span.endS) : "";
    this.#setFault(false);
    $("part-hint").hidden = span !== null;
    $("part").hidden = span === null;
    $("part-play").hidden = !this.#clip?.file;
    $("part-text").textContent = span ? formatSpan(span) : "";
  }

  /** @param {boolean} isFault whether the written times name a part that cannot be used */
  #setFault(isFault) {
    for (const input of [this.#start, this.#end]) input.setAttribute("aria-invalid", String(isFault));
    $("part-error").hidden = !isFault;
  }
}
