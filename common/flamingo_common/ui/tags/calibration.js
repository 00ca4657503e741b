/**
 * A calibration, as `flamingo bench quiz --calibration` writes it for one model, in JSON. Pure.
 *
 * @typedef {{file: string, model: string, commit: string | null, orders: number, temperature: number,
 *   temperatures: Record<string, number>, num_examples: number, num_clips: number}} Calibration
 */

const MAX_TEMPERATURE = 100;
const MAX_ORDERS = 16;

/** @param {number} [most] */
const isCount = (most = Infinity) => (/** @type {any} */ value) =>
  Number.isInteger(value) && value >= 1 && value <= most;
const isTemperature = (/** @type {any} */ value) =>
  typeof value === "number" && value > 0 && value <= MAX_TEMPERATURE;
const isMap = (/** @type {any} */ value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** What each field must be, and how that is said. @type {Record<string, [(value: any) => boolean, string]>} */
const FIELDS = {
  version: [(value) => value === 1, "must be 1"],
  model: [(value) => typeof value === "string" && value !== "", "must be a name"],
  commit: [(value) => value === null || typeof value === "string", "must be a text or null"],
  orders: [isCount(MAX_ORDERS), `must be a whole number from 1 to ${MAX_ORDERS}`],
  num_examples: [isCount(), "must be a whole number from 1"],
  num_clips: [isCount(), "must be a whole number from 1"],
  temperature: [isTemperature, `must be a number above 0, up to ${MAX_TEMPERATURE}`],
};
/** @type {Record<string, [(value: any) => boolean, string]>} */
const OPTIONAL = {
  temperatures: [
    (value) => isMap(value) && Object.values(value).every(isTemperature),
    `must be numbers above 0, up to ${MAX_TEMPERATURE}, by taxonomy`,
  ],
  before: [isMap, "must be numbers by name"],
  after: [isMap, "must be numbers by name"],
};

/**
 * @param {string} text of the file
 * @param {string} file its name
 * @returns {Calibration}
 */
export function readCalibration(text, file) {
  const found = parsed(text, file);
  const faults = faultsOf(found);
  if (faults.length) throw new Error(`${file} is not a calibration: ${faults.join("; ")}`);
  return { temperatures: {}, ...found, file };
}

/**
 * @param {string} text
 * @param {string} file
 * @returns {any}
 */
function parsed(text, file) {
  /** @type {unknown} */
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${/** @type {Error} */ (error).message}`);
  }
  if (!isMap(found)) throw new Error(`${file} is not a calibration, as flamingo bench quiz writes it`);
  return found;
}

/** @param {any} found */
function faultsOf(found) {
  const known = { ...FIELDS, ...OPTIONAL };
  return [
    ...Object.keys(FIELDS).filter((name) => !Object.hasOwn(found, name)).map((name) => `${name}: is required`),
    ...Object.keys(found).flatMap((name) => {
      if (!Object.hasOwn(known, name)) return [`${name}: is unknown`];
      const [isValid, rule] = known[name];
      return isValid(found[name]) ? [] : [`${name}: ${rule}`];
    }),
  ];
}

/**
 * @param {Calibration} calibration
 * @param {string} taxonomy
 */
export const temperatureOf = ({ temperature, temperatures }, taxonomy) =>
  Object.hasOwn(temperatures, taxonomy) ? temperatures[taxonomy] : temperature;

/**
 * @param {Calibration} calibration
 * @param {{id: string, commit?: string | null}} card the model that is served
 * @returns {string} why it cannot be used for this model; empty if it can.
 */
export function refusalFor({ file, model, commit }, card) {
  const [mine, served] = [checkpoint(model, commit), checkpoint(card.id, card.commit ?? null)];
  if (mine === served) return "";
  return `${file} is for the model ${mine}, and ${served} is served; fit one for it with flamingo bench quiz`;
}

/**
 * @param {string} model
 * @param {string | null} commit
 */
const checkpoint = (model, commit) => (commit ? `${model} (${commit})` : model);
