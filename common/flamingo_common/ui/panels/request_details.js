/** The last request of a panel: its timings, and the same request as a command or a program. */

import { apiKey } from "../server/credentials.js";
import { ROOT } from "../server/http.js";
import { copyOnClick, createElement } from "../shared/dom.js";
import { formatCount } from "../shared/format.js";
import { curlCommand, javascriptProgram, pythonProgram } from "./snippets.js";
import { stagesOf } from "./stages.js";

export class RequestDetails {
  /** @type {import("../server/request_record.js").RequestRecord | null} */
  #record = null;
  #facts = createElement("dl", "facts");
  #bar = createElement("div", "stages");
  #route = createElement("p", "note route");
  #details = /** @type {HTMLDetailsElement} */ (createElement("details", "timings"));

  /**
   * @param {HTMLElement} element hidden until there was a request; may have further buttons
   * @param {string} panel its name, with which the ids of the buttons begin
   */
  constructor(element, panel) {
    this.element = element;
    const buttons = element.querySelector(".copy-buttons") ?? createElement("p", "copy-buttons");
    for (const [id, label, write] of FORMS) {
      const button = /** @type {HTMLButtonElement} */ (createElement("button", "quiet", `Copy as ${label}`));
      Object.assign(button, { id: `${panel}-${id}`, type: "button" });
      copyOnClick(button, () => (this.#record ? write(this.#record.call) : ""));
      buttons.append(button);
    }
    this.#bar.setAttribute("aria-hidden", "true"); // the list says the same
    this.#details.append(createElement("summary", "", "Timings"), this.#bar, this.#facts, this.#route);
    element.append(buttons, this.#details);
  }

  /** @param {import("../server/request_record.js").RequestRecord} record of a request that begins */
  begin(record) {
    this.#record = record;
    this.element.hidden = false;
    this.#details.hidden = true;
  }

  /**
   * The request has ended, well or not.
   * @param {import("../server/request_record.js").RequestRecord} record
   */
  end(record) {
    if (this.#record !== record || !record.requestId) return; // another one has begun
    const { call, requestId } = record;
    const stages = stagesOf(record, performance.now());
    const total = stages.reduce((sum, stage) => sum + stage.ms, 0) || 1;
    this.#bar.replaceChildren(...stages.map((stage) => barPart(stage, total)));
    this.#facts.replaceChildren(...stages.flatMap(factOf), ...this.#rates());
    this.#route.textContent = `POST /${call.path} · request ${requestId}`;
    this.#details.hidden = false;
  }

  reset() {
    this.#record = null;
    this.element.hidden = true;
  }

  #rates() {
    const { tokens_per_second: rate, compute_ms: compute } = this.#record?.metrics ?? {};
    return [
      ...(rate ? fact("", "Speed", `${formatCount(Math.round(rate))} tokens/s`) : []),
      ...(compute === undefined ? [] : fact("", "Its share of the engine", formatMs(compute))),
    ];
  }
}

/** @type {[string, string, (call: import("../server/calls.js").Call) => string][]} */
const FORMS = [
  ["curl", "curl", (call) => curlCommand(ROOT.href, call, apiKey() !== "")],
  ["python", "Python", (call) => pythonProgram(ROOT.href, call)],
  ["javascript", "JavaScript", (call) => javascriptProgram(ROOT.href, call, apiKey() !== "")],
];

/**
 * @param {import("./stages.js").Stage} stage
 * @param {number} totalMs
 */
function barPart({ name, ms }, totalMs) {
  const part = createElement("div", `stage ${name}`);
  part.style.inlineSize = `${(100 * ms) / totalMs}%`;
  return part;
}

/** @param {import("./stages.js").Stage} stage */
const factOf = ({ name, label, ms }) => fact(`stage ${name}`, label, formatMs(ms));

/**
 * @param {string} className
 * @param {string} label
 * @param {string} value
 */
function fact(className, label, value) {
  return [createElement("dt", className, label), createElement("dd", "", value)];
}

/** @param {number} ms */
const formatMs = (ms) => (ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(2)} s`);
