/** The part of the clip that is used, and what can be done with it. */

import { $, download } from "../shared/dom.js";
import { cutPart } from "./part.js";
import { formatSpan } from "./span.js";

/** @typedef {import("./span.js").Span} Span */

export class PartControls {
  /** The selected part as a clip; null: the whole clip is used. @type {import("./clip.js").Clip | null} */
  part = null;
  /** @type {Span | null} */
  span = null;
  /** @type {{clip: import("./clip.js").Clip, audio: import("./decoded_audio.js").DecodedAudio} | null} */
  #source = null;

  /**
   * @param {import("./time_line.js").TimeLine} timeLine
   * @param {{onPart: () => void, onPlay: (span: Span) => void}} listener
   */
  constructor(timeLine, listener) {
    this.timeLine = timeLine;
    this.listener = listener;
    $("part-play").addEventListener("click", () => this.span && listener.onPlay(this.span));
    $("part-clear").addEventListener("click", () => this.select(null));
    $("part-save").addEventListener("click", () => {
      if (this.part?.file) download(this.part.file, this.part.name);
    });
  }

  /**
   * Use the whole of another clip.
   * @param {import("./clip.js").Clip} clip
   * @param {import("./decoded_audio.js").DecodedAudio | null} audio null: nothing can be cut from it
   */
  load(clip, audio) {
    this.#source = audio && { clip, audio };
    $("clip-tools").hidden = audio === null;
    this.#show(null);
  }

  /** @param {Span | null} span */
  select(span) {
    this.#show(span);
    this.listener.onPart();
  }

  /** @param {Span | null} span */
  #show(span) {
    this.span = this.#source && span;
    this.part = this.#source && span ? cutPart(this.#source.clip, this.#source.audio, span) : null;
    this.timeLine.setPart(this.span);
    $("part-hint").hidden = this.part !== null;
    $("part").hidden = this.part === null;
    $("part-text").textContent = this.span ? formatSpan(this.span) : "";
  }
}
