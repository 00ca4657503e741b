/** The caller's API key. It is kept here and nowhere else: the browser forgets it with the page. */

let current = "";

/** @type {Promise<string> | null} the question that is open now: one for all requests */
let asking = null;

/** @type {(wasRefused: boolean) => Promise<string>} gets a key from a person; "" when none comes */
let askPerson = async () => "";

/** @param {(wasRefused: boolean) => Promise<string>} ask what to do when a server wants a key */
export const askWith = (ask) => (askPerson = ask);

/** @returns {string} the key; "" when there is none. */
export const key = () => current;

/**
 * @param {string} refused the key that was sent
 * @returns {Promise<boolean>} whether there is another one to try.
 */
export async function another(refused) {
  if (current !== refused) return true; // somebody has given one meanwhile
  asking ??= askPerson(refused !== "");
  const given = await asking; // "" stays the answer: who declined is not asked again
  if (given) [current, asking] = [given, null];
  return current !== refused;
}
