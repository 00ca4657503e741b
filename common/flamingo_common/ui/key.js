/** The dialog that asks for an API key. */

import { $ } from "./dom.js";

/**
 * Ask for a key.
 * @param {boolean} wasRefused whether the server did not know the last one
 * @returns {Promise<string>} what was typed; "" when the dialog was left.
 */
export function askForKey(wasRefused) {
  const dialog = /** @type {HTMLDialogElement} */ ($("key-dialog"));
  const input = /** @type {HTMLInputElement} */ ($("key"));
  $("key-refused").hidden = !wasRefused;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    $("key-form").onsubmit = (event) => {
      event.preventDefault(); // the page's policy lets no form go anywhere
      dialog.close(input.value.trim());
    };
    dialog.onclose = () => {
      input.value = "";
      resolve(dialog.returnValue);
    };
  });
}
