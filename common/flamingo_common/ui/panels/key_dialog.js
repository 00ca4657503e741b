/** The dialog to enter an API key. */

import { $ } from "../shared/dom.js";

/**
 * Open the dialog.
 * @param {boolean} wasRejected whether the server rejected the previous key
 * @returns {Promise<string>} the key; "" if the dialog was closed.
 */
export function openKeyDialog(wasRejected) {
  const dialog = /** @type {HTMLDialogElement} */ ($("key-dialog"));
  const input = /** @type {HTMLInputElement} */ ($("key"));
  $("key-rejected").hidden = !wasRejected;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    $("key-form").onsubmit = (event) => {
      event.preventDefault(); // the content security policy forbids form submission
      dialog.close(input.value.trim());
    };
    dialog.onclose = () => {
      input.value = "";
      resolve(dialog.returnValue);
    };
  });
}
