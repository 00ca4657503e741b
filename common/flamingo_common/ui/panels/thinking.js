/** How many tokens a model may think before it answers, where the served model thinks. */

import { $ } from "../shared/dom.js";

/** @param {import("../server/api.js").ModelCard} card */
export function offerThinking({ reasoning }) {
  $("thinking").hidden = !reasoning; // an older server does not say
}

/** @returns {number | undefined} the budget that is chosen; undefined: the model's own. */
export function thinkingBudget() {
  const { value } = /** @type {HTMLSelectElement} */ ($("thinking-budget"));
  return $("thinking").hidden || !value ? undefined : Number(value);
}
