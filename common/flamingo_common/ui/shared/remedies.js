/** What the reader can do about an error: a button beside its sentence, by the error's code. */

/** @typedef {{label: () => string, act: () => unknown}} Remedy `act` returns false if nothing was done */

/** @type {Map<string, Remedy>} */
const remedies = new Map();

/**
 * @param {string} code of the error
 * @param {Remedy} remedy
 */
export const setRemedy = (code, remedy) => remedies.set(code, remedy);

/** @param {string | null} code */
export const remedyFor = (code) => (code && remedies.get(code)) || null;
