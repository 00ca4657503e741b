/** The API key. It is kept in this module's memory only, so closing or reloading the page discards it. */

let currentKey = "";

/** @type {Promise<string> | null} the open prompt; requests that fail meanwhile share it */
let openPrompt = null;

/** @type {(wasRejected: boolean) => Promise<string>} resolves with a key, or "" if none is entered */
let promptForKey = async () => "";

/** Sends `required` when the server refuses a request without a key, and `entered`. */
export const keyEvents = new EventTarget();

/** @param {(wasRejected: boolean) => Promise<string>} prompt called when the server requires a key */
export const setKeyPrompt = (prompt) => (promptForKey = prompt);

/** @returns {string} the key; "" if there is none. */
export const apiKey = () => currentKey;

/**
 * @param {string} rejected the key that was sent
 * @returns {Promise<boolean>} whether there is another key to try.
 */
export async function requestNewKey(rejected) {
  keyEvents.dispatchEvent(new Event("required"));
  if (currentKey !== rejected) return true; // another request has prompted for one meanwhile
  openPrompt ??= promptForKey(rejected !== "");
  await acceptKey(openPrompt); // stays set if none was entered: the page prompts only once
  return currentKey !== rejected;
}

/**
 * Prompt for a key because the reader wants to enter one.
 * @returns {Promise<boolean>} whether one was entered.
 */
export async function enterKey() {
  openPrompt = promptForKey(false);
  return acceptKey(openPrompt);
}

/** @param {Promise<string>} prompt */
async function acceptKey(prompt) {
  const entered = await prompt;
  if (!entered || openPrompt !== prompt) return entered !== "";
  [currentKey, openPrompt] = [entered, null];
  keyEvents.dispatchEvent(new Event("entered"));
  return true;
}
