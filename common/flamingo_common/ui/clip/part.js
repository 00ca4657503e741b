/** The part of a clip that was selected, as a clip of its own: a WAV file at the model's rate. */

import { Clip } from "./clip.js";
import { encodeWav } from "./wav.js";

/**
 * @param {Clip} clip
 * @param {import("./decoded_audio.js").DecodedAudio} audio
 * @param {import("./span.js").Span} span
 * @returns {Clip}
 */
export function cutPart(clip, { samples, rateHz }, { startS, endS }) {
  const cut = samples.subarray(Math.round(startS * rateHz), Math.round(endS * rateHz));
  const base = clip.name.replace(/\.[^.]*$/, "");
  const name = `${base} ${startS.toFixed(1)}s-${endS.toFixed(1)}s.wav`; // no colon: Windows has none in names
  const part = new Clip(name, new File([encodeWav(cut, rateHz)], name, { type: "audio/wav" }));
  part.durationS = cut.length / rateHz;
  part.offsetS = startS;
  return part;
}
