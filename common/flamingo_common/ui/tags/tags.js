/**
 * Labels with their probabilities, from the answers to the questions of taxonomies. Pure.
 *
 * @typedef {{label: string, probability: number}} Tag
 * @typedef {{type: string, probability?: number, probabilities?: {probability: number}[]}} DecisionAnswer
 * @typedef {{name: string, labels: string[], questions: object[]}} Taxonomy with one question for
 *   each label, or one for all
 */

const LIKELY = 0.5;
const MIN_SHOWN = 5;

/**
 * @param {Taxonomy[]} taxonomies
 * @param {DecisionAnswer[]} answers to all their questions, in order
 * @returns {Record<string, Tag[]>} by the name of the taxonomy, in the order of its labels.
 */
export function tagsOf(taxonomies, answers) {
  const left = [...answers];
  return Object.fromEntries(taxonomies.map(({ name, labels, questions }) => {
    const probabilities = left.splice(0, questions.length).flatMap(probabilitiesOf);
    return [name, labels.map((label, index) => ({ label, probability: probabilities[index] }))];
  }));
}

/** @param {DecisionAnswer} answer */
const probabilitiesOf = ({ probability, probabilities }) =>
  probabilities ? probabilities.map((each) => each.probability) : [probability ?? 0];

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
