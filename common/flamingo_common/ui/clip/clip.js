/** A clip: a file of this computer, or a link that the server fetches; or a part of one. */

import { baseName, formatDuration, spellDuration } from "../shared/format.js";

export class Clip {
  /** Its length in seconds, as its own header says; 0 while that is unknown. */
  durationS = 0;
  /** How many seconds of a clip the model hears at most; 0 while that is unknown. */
  static limitS = 0;
  /** The id by which the server holds the file, so that it is not sent again; empty if it does not. */
  held = { id: "" };
  /** Where the part that is used begins in the file or link. */
  startS = 0;
  /** Where that part ends; Infinity: at the end of the clip. */
  endS = Infinity;
  /** Whether only the beginning is used of a clip that is too long. */
  truncate = false;

  /**
   * @param {string} name
   * @param {File | null} file null: the clip is at `url`
   * @param {string} [url]
   */
  constructor(name, file, url = "") {
    this.name = name;
    this.file = file;
    this.url = url;
  }

  /** Where it ends, in the time of the whole clip; 0 while that is unknown. */
  get stopS() {
    if (Number.isFinite(this.endS)) return this.endS;
    return this.durationS ? this.startS + this.durationS : 0;
  }

  /**
   * @param {import("./span.js").Span} span
   * @returns {Clip} a part of this clip, of the same file, which the server holds only once.
   */
  part({ startS, endS }) {
    const lengthS = this.durationS || Infinity;
    const span = { startS, endS: endS < lengthS ? endS : Infinity }; // the server knows the end better
    const stopS = Math.min(endS, lengthS);
    const part = new Clip(partName(this.name, span), this.file, this.url);
    part.durationS = Number.isFinite(stopS) ? stopS - startS : 0;
    return Object.assign(part, { ...span, held: this.held });
  }

  get isTooLong() {
    return Clip.limitS > 0 && this.durationS >= Clip.limitS + 1;
  }

  /** Why the server would refuse the clip; empty if nothing is known against it. */
  get refusal() {
    if (!this.isTooLong || this.truncate) return "";
    return tooLongText(this.durationS);
  }
}

/** @param {File} file */
export const fileClip = (file) => new Clip(file.name, file);

/**
 * @param {string} text
 * @returns {Clip | null} null if `text` is not an http(s) URL.
 */
export function linkClip(text) {
  const url = URL.parse(text.trim());
  if (!url || !["http:", "https:"].includes(url.protocol)) return null;
  const name = decodeName(url.pathname.split("/").pop() ?? "");
  return new Clip(name || url.hostname, null, url.href);
}

/**
 * @param {string} name
 * @param {import("./span.js").Span} span
 * @returns {string} it can name a file: Windows has no colon in names.
 */
function partName(name, { startS, endS }) {
  const base = baseName(name);
  const times = Number.isFinite(endS) ? `${startS.toFixed(1)}-${endS.toFixed(1)} s` : `from ${startS.toFixed(1)} s`;
  return `${base} ${times}${name.slice(base.length)}`;
}

/** @param {string} name */
function decodeName(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** @param {number} durationS */
const tooLongText = (durationS) =>
  `This clip is ${formatDuration(durationS)} long, and the model hears at most ${spellDuration(Clip.limitS)}.`;
