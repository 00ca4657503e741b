/** Recording from the microphone. */

import { $, showError } from "../shared/dom.js";
import { formatClock } from "../shared/format.js";
import { Clip, fileClip } from "./clip.js";

/** Music as it is: what makes speech clear would change it. */
const CONSTRAINTS = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } };

const PROBLEMS = /** @type {Record<string, string>} */ ({
  NotAllowedError: "The browser does not let this page use the microphone",
  NotFoundError: "There is no microphone",
  NotReadableError: "The microphone is used by another program",
});

/**
 * Offer to record, where the browser can: on https, and on this computer.
 * @param {(clip: Clip) => void} onClip
 */
export function offerRecording(onClip) {
  const isPossible = "MediaRecorder" in window && navigator.mediaDevices?.getUserMedia;
  const buttons = [$("record"), $("record-another")];
  for (const button of buttons) {
    button.hidden = !isPossible;
    button.addEventListener("click", () => record(onClip));
  }
}

/** @param {(clip: Clip) => void} onClip */
async function record(onClip) {
  if (!$("recording").hidden) return; // it records already
  $("clip-error").hidden = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    const recorder = new MediaRecorder(stream);
    /** @type {Blob[]} */
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      onClip(fileClip(toFile(parts, recorder.mimeType)));
    };
    recorder.start(1000);
    showProgress(recorder);
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    showError($("clip-error"), PROBLEMS[name] ?? error);
  }
}

/** @param {MediaRecorder} recorder stopped by the button, and when it is as long as the model hears */
function showProgress(recorder) {
  const startedMs = performance.now();
  const show = () => {
    const elapsedS = (performance.now() - startedMs) / 1000;
    $("recording-time").textContent = formatClock(elapsedS);
    if (Clip.limitS && elapsedS >= Clip.limitS) recorder.stop();
  };
  const timer = setInterval(show, 200);
  show();
  $("recording").hidden = false;
  $("record-stop").onclick = () => recorder.stop();
  $("record-stop").focus();
  recorder.addEventListener("stop", () => {
    clearInterval(timer);
    $("recording").hidden = true;
  });
}

/**
 * @param {Blob[]} parts
 * @param {string} type for example audio/webm;codecs=opus
 */
function toFile(parts, type) {
  const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
  const time = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  return new File(parts, `recording ${time}.${ending}`, { type });
}
