/** The history panel: what was generated in this browser. */

import { $, createElement, download } from "../shared/dom.js";
import { formatCount } from "../shared/format.js";
import { addToHistory, clearHistory, isHistoryOff, readHistory, setHistoryOff } from "./history_store.js";

const MAX_SHOWN = 20;

export class HistoryView {
  /** The served model; its answers name it. */
  model = "";
  #numShown = MAX_SHOWN;

  constructor() {
    const keep = /** @type {HTMLInputElement} */ ($("history-keep"));
    keep.checked = !isHistoryOff();
    keep.addEventListener("change", () => setHistoryOff(!keep.checked));
    $("history-clear").addEventListener("click", () => this.#clear());
    $("history-save").addEventListener("click", save);
    $("history-older").addEventListener("click", () => {
      this.#numShown += MAX_SHOWN;
      this.render();
    });
    addEventListener("storage", () => this.render()); // another tab has added an entry
    this.render();
  }

  /**
   * @param {import("../clip/clip.js").Clip} clip
   * @param {"caption" | "question"} kind
   * @param {string} prompt
   * @param {string} text
   */
  add(clip, kind, prompt, text) {
    if (!text) return;
    const at = new Date().toISOString();
    addToHistory({ at, clip: clip.name, kind, prompt, text, model: this.model });
    this.render();
  }

  render() {
    const entries = readHistory();
    $("history").hidden = entries.length === 0;
    $("history-summary").textContent = formatCount(entries.length);
    $("history-list").replaceChildren(...entries.slice(0, this.#numShown).map(createItem));
    $("history-older").hidden = entries.length <= this.#numShown;
  }

  #clear() {
    if (!confirm("Delete the whole history of this browser?")) return;
    clearHistory();
    this.render();
  }
}

/** @param {import("./history_store.js").Entry} entry */
function createItem({ at, clip, prompt, text }) {
  const item = createElement("li");
  const details = createElement("details");
  const summary = createElement("summary");
  const time = createElement("time", "note", formatTime(at));
  time.setAttribute("datetime", at);
  summary.append(createElement("strong", "", clip), createElement("span", "note", prompt), time);
  details.append(summary, createElement("p", "generated", text));
  item.append(details);
  return item;
}

function save() {
  const lines = readHistory().map((entry) => `${JSON.stringify(entry)}\n`);
  download(new Blob(lines, { type: "application/x-ndjson" }), "history.jsonl");
}

/** @param {string} at */
const formatTime = (at) =>
  new Date(at).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
