/** The API key. It is kept in this module's memory only, so closing or reloading the page discards it. */

let currentKey = "";

/** @type {Promise<string> | null} the open prompt; requests that fail meanwhile share it */
let openPrompt = null;

/** @type {(wasRejected: boolean) => Promise<string>} resolves with a key, or "" if none is entered */
let promptForKey = async () => "";

/** @param {(wasRejected: boolean) => Promise<string>} prompt called when the server requires a key */
export const setKeyPrompt = (prompt) => (promptForKey = prompt);

/** @returns {string} the key; "" if there is none. */
export const apiKey = () => currentKey;

/**
 * @param {string} rejected the key that was sent
 * @returns {Promise<boolean>} whether there is another key to try.
 */
export async function requestNewKey(rejected) {
  if (currentKey !== rejected) return true; // another request has prompted for one meanwhile
  openPrompt ??= promptForKey(rejected !== "");
  const entered = await openPrompt; // stays set if none was entered: prompt only once
  if (entered) [currentKey, openPrompt] = [entered, null];
  return currentKey !== rejected;
}
