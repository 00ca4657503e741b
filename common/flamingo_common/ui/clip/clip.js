/** A clip: a file of this computer, or a link that the server fetches. */

import { formatDuration, spellDuration } from "../shared/format.js";

export class Clip {
  /** Its length in seconds, as its own header says; 0 while that is unknown. */
  durationS = 0;
  /** How many seconds of a clip the model hears at most; 0 while that is unknown. */
  static limitS = 0;
  /** By which the server holds the file, so that it is not sent again; empty if it does not. */
  id = "";
  /** Where it begins in the clip that it is a part of. */
  offsetS = 0;
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
