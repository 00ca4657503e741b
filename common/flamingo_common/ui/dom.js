/**
 * The few ways this page touches the document. Text goes in as text, always:
 * there is no innerHTML anywhere, and the page's policy would refuse it.
 */

import { ApiError } from "./api.js";

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T} the element, which index.html has.
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
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Say what went wrong in one sentence, with what a person needs to report it.
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function showError(place, error) {
  place.replaceChildren(make("span", "", sentence(error)));
  if (error instanceof ApiError) {
    const facts = [error.code, error.requestId && `request ${error.requestId}`];
    place.append(make("code", "facts", facts.filter(Boolean).join(" · ")));
  }
  place.hidden = false;
}

/** @param {unknown} error */
function sentence(error) {
  const text = error instanceof Error ? error.message : String(error);
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  const whole = /[.!?]$/.test(start) ? start : `${start}.`;
  const wait = error instanceof ApiError ? error.retryAfter : null;
  return wait ? `${whole} Try again in ${wait} s.` : whole;
}

/** @param {unknown} error */
export const isStop = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * Copy `text`, and say on the button that it was done.
 * @param {HTMLElement} button
 * @param {string} text
 */
export async function copy(button, text) {
  const label = button.dataset.label ?? button.textContent ?? "";
  button.dataset.label = label;
  button.textContent = (await written(text)) ? "Copied" : "Cannot copy here";
  setTimeout(() => (button.textContent = label), 1500);
}

/** @param {string} text */
async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text); // plain http to another machine has no clipboard API
  }
}

/** @param {string} text */
function copiedByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * The value of the checked radio button of a group.
 * @param {string} name
 */
export function chosen(name) {
  const input = document.querySelector(`input[name="${name}"]:checked`);
  return /** @type {HTMLInputElement} */ (input).value;
}
