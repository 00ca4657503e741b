/** How clips come to the page: chosen, dropped anywhere, pasted, or by link. */

import { $, showError } from "../shared/dom.js";
import { fileClip, linkClip } from "./clip.js";

const NOT_A_LINK = "This is not a link: its address has to begin with https or http";

/**
 * @typedef {{onClips: (clips: import("./clip.js").Clip[]) => void,
 *   takeFile: (file: File) => boolean}} Receiver `takeFile` returns whether it has used a file that
 *   is not a clip
 */

/** @param {Receiver} receiver */
export function acceptClips(receiver) {
  acceptChosen(receiver);
  acceptDropped(receiver);
  acceptPasted(receiver);
  acceptLink(receiver);
}

/** @param {Receiver} receiver */
function acceptChosen(receiver) {
  const input = /** @type {HTMLInputElement} */ ($("file"));
  input.addEventListener("change", () => {
    receive(receiver, [...(input.files ?? [])]);
    input.value = ""; // so that choosing the same file again is a change
  });
  $("choose-another").addEventListener("click", () => input.click());
}

/** @param {Receiver} receiver */
function acceptDropped(receiver) {
  const setDropping = (/** @type {boolean} */ isOver) =>
    document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    setDropping(true);
  });
  document.addEventListener("dragleave", (event) => setDropping(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    setDropping(false);
    receiveTransfer(receiver, event.dataTransfer);
  });
}

/** @param {Receiver} receiver */
function acceptPasted(receiver) {
  document.addEventListener("paste", (event) => {
    const target = /** @type {Element | null} */ (event.target);
    if (target?.closest("input, textarea")) return; // the text goes there
    receiveTransfer(receiver, event.clipboardData);
  });
}

/** @param {Receiver} receiver */
function acceptLink(receiver) {
  const input = /** @type {HTMLInputElement} */ ($("link"));
  $("link-form").addEventListener("submit", (event) => {
    event.preventDefault(); // the content security policy forbids form submission
    const clips = linksOf(input.value);
    if (!clips.length) return showError($("clip-error"), NOT_A_LINK);
    input.value = "";
    receiver.onClips(clips);
  });
  $("use-link").addEventListener("click", () => {
    $("link-form").hidden = !$("link-form").hidden;
    if (!$("link-form").hidden) input.focus();
  });
}

/**
 * @param {Receiver} receiver
 * @param {DataTransfer | null} transfer
 */
function receiveTransfer(receiver, transfer) {
  if (transfer?.files.length) return receive(receiver, [...transfer.files]);
  const text = transfer?.getData("text/uri-list") || transfer?.getData("text/plain") || "";
  const clips = linksOf(text);
  if (clips.length) receiver.onClips(clips);
  else if (text.trim()) showError($("clip-error"), NOT_A_LINK);
}

/**
 * @param {Receiver} receiver
 * @param {File[]} files
 */
function receive({ onClips, takeFile }, files) {
  const clips = files.filter((file) => !takeFile(file)).map(fileClip);
  if (clips.length) onClips(clips);
}

/** @param {string} text links, one a line; a list of URIs has lines with comments */
const linksOf = (text) =>
  text
    .split(/\s+/)
    .map(linkClip)
    .filter((clip) => clip !== null);
