/**
 * Labels with their probabilities, from the answers to the questions of taxonomies. Pure.
 *
 * @typedef {{label: string, probability: number}} Tag
 * @typedef {{type: string, probability?: number, probabilities?: {probability: number}[]}} DecisionAnswer
 * @typedef {{name: string, labels: string[], questions: object[]}} Taxonomy with one question for
 *   each label, or one for all
 */

import { temperatureOf } from "./calibration.js";

/** A smaller one has no logarithm. */
const MIN_PROBABILITY = 1e-300;
const LIKELY = 0.5;
const MIN_SHOWN = 5;

/**
 * @param {Taxonomy[]} taxonomies
 * @param {DecisionAnswer[]} answers to all their questions, in order
 * @param {import("./calibration.js").Calibration | null} calibration
 * @returns {Record<string, Tag[]>} by the name of the taxonomy, in the order of its labels.
 */
export function tagsOf(taxonomies, answers, calibration) {
  const left = [...answers];
  return Object.fromEntries(taxonomies.map(({ name, labels, questions }) => {
    const temperature = calibration ? temperatureOf(calibration, name) : 1;
    const probabilities = left.splice(0, questions.length).flatMap((answer) => probabilitiesOf(answer, temperature));
    return [name, labels.map((label, index) => ({ label, probability: probabilities[index] }))];
  }));
}

/**
 * @param {DecisionAnswer} answer
 * @param {number} temperature
 */
const probabilitiesOf = ({ probability = 0, probabilities }, temperature) =>
  probabilities
    ? tempered(probabilities.map((each) => each.probability), temperature)
    : tempered([probability, 1 - probability], temperature).slice(0, 1);

/**
 * @param {number[]} probabilities
 * @param {number} temperature by which their logarithms are divided, as the Python client does it
 */
function tempered(probabilities, temperature) {
  if (temperature === 1) return probabilities;
  const logs = probabilities.map((each) => Math.log(Math.max(each, MIN_PROBABILITY)) / temperature);
  const best = Math.max(...logs);
  const weights = logs.map((each) => Math.exp(each - best));
  const total = weights.reduce((sum, each) => sum + each, 0);
  return weights.map((each) => each / total);
}

/**
 * @param {Tag[]} tags
 * @returns {{first: Tag[], others: Tag[]}} the likeliest first; `first` are those that are likely,
 *   and a few in any case.
 */
export function ranked(tags) {
  const ordered = [...tags].sort((one, other) => other.probability - one.probability);
  const numLikely = ordered.filter(({ probability }) => probability >= LIKELY).length;
  const numShown = Math.max(numLikely, MIN_SHOWN);
  return { first: ordered.slice(0, numShown), others: ordered.slice(numShown) };
}

/** @param {number} probability for example 0.834, which is formatted as 83.4 % */
export const formatProbability = (probability) => `${(100 * probability).toFixed(1)} %`;
