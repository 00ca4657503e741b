/**
 * Helpers for the document. Text is always inserted as text: nothing uses innerHTML, and the
 * page's content security policy blocks it.
 */

import { ApiError } from "../server/http.js";
import { remedyFor } from "./remedies.js";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T} the element with this id in index.html.
 */
export function $(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function createElement(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Show an error as a sentence, with what can be done about it, its code and its request id.
 * @param {HTMLElement} box
 * @param {unknown} error
 * @param {() => unknown} [retry] called after the reader has used the remedy
 */
export function showError(box, error, retry) {
  const sentence = errorSentence(error);
  const isShown = !box.hidden && box.firstElementChild?.textContent === sentence;
  box.hidden = false;
  if (isShown) return; // a repeated request has failed again: a button in it stays what it is
  const parts = [createElement("span", "", sentence)];
  if (error instanceof ApiError) {
    const remedy = remedyFor(error.code);
    if (remedy) parts.push(remedyButton(remedy, retry));
    const details = [error.code, error.requestId && `request ${error.requestId}`];
    const text = details.filter(Boolean).join(" · ");
    if (text) parts.push(createElement("code", "error-details", text));
  }
  box.replaceChildren(...parts);
}

/**
 * @param {import("./remedies.js").Remedy} remedy
 * @param {() => unknown} [retry]
 */
function remedyButton({ label, act }, retry) {
  const button = /** @type {HTMLButtonElement} */ (createElement("button", "remedy", label()));
  button.type = "button";
  button.addEventListener("click", async () => {
    if ((await act()) !== false) retry?.();
  });
  return button;
}

/** @param {unknown} error */
export function errorSentence(error) {
  const text = error instanceof Error ? error.message : String(error);
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1);
  const sentence = /[.!?]$/.test(capitalized) ? capitalized : `${capitalized}.`;
  const retryAfter = error instanceof ApiError ? error.retryAfter : null;
  return retryAfter ? `${sentence} Try again in ${retryAfter} s.` : sentence;
}

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * Copy the result of `getText` when the button is clicked.
 * @param {HTMLElement} button
 * @param {() => string} getText
 */
export function copyOnClick(button, getText) {
  button.addEventListener("click", () => copy(button, getText()));
}

/**
 * Copy `text`, and confirm it on the button.
 * @param {HTMLElement} button
 * @param {string} text
 */
async function copy(button, text) {
  const label = button.dataset.label ?? button.textContent ?? "";
  button.dataset.label = label;
  button.textContent = (await writeClipboard(text)) ? "Copied" : "Copy failed";
  setTimeout(() => (button.textContent = label), 1500);
}

/** @param {string} text */
async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyWithCommand(text); // the clipboard API needs https or localhost
  }
}

/** @param {string} text */
function copyWithCommand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  const previousFocus = /** @type {HTMLElement | null} */ (document.activeElement);
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  previousFocus?.focus();
  return isCopied;
}

/**
 * @param {Blob} blob
 * @param {string} name the suggested file name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * @param {string} name of a group of radio buttons
 * @returns {string} the value of the checked one.
 */
export function checkedValue(name) {
  const input = document.querySelector(`input[name="${name}"]:checked`);
  return /** @type {HTMLInputElement} */ (input).value;
}
