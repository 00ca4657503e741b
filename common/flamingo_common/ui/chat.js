/** Questions about the clip. All that was said before goes along with each. */

import { arrive, Job } from "./answer.js";
import { ask, chatFields, ROOT } from "./api.js";
import { key } from "./credentials.js";
import { $, copy, isStop, make, showError } from "./dom.js";
import { askCall, curl, python } from "./snippets.js";

export class ChatView {
  /** Question and answer in turn; only what was answered. @type {import("./api.js").Turn[]} */
  #turns = [];
  /** The messages sent last, for the copy buttons. @type {import("./api.js").Turn[]} */
  #sent = [];
  #input = /** @type {HTMLTextAreaElement} */ ($("question"));

  /** @param {() => File} clip */
  constructor(clip) {
    this.clip = clip;
    this.job = new Job($("ask"), (signal) => this.#ask(signal), (error) => this.#fail(error));
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    for (const button of document.querySelectorAll("#starters button")) {
      button.addEventListener("click", () => this.#begin(button.textContent ?? ""));
    }
    $("chat-curl").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#curl()));
    $("chat-python").addEventListener("click", (event) =>
      copy(/** @type {HTMLElement} */ (event.currentTarget), this.#python()));
  }

  /** Forget the last clip's conversation. */
  reset() {
    this.job.stop();
    this.#turns = [];
    this.#input.value = "";
    $("log").replaceChildren();
    $("chat-error").hidden = true;
    $("chat-copies").hidden = true;
    $("starters").hidden = false;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.job.isRunning) this.job.start();
  }

  /** @param {string} question */
  #begin(question) {
    this.#input.value = question;
    this.job.start();
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    const question = this.#input.value.trim();
    if (!question) return this.#input.focus();
    const turns = this.#turns; // a new clip brings a new list
    this.#sent = [...turns, { role: "user", content: question }];
    const { exchange, answer, note } = this.#open(question);
    try {
      await arrive(ask(this.clip(), chatFields(this.#sent), signal), answer, note);
    } catch (error) {
      const isKept = isStop(error) && answer.textContent; // what was read was said
      if (!isKept) this.#close(exchange, question);
      if (!isKept) throw error;
    }
    turns.push(this.#sent[turns.length], { role: "assistant", content: answer.textContent ?? "" });
  }

  /**
   * Show a question and the place of its answer.
   * @param {string} question
   */
  #open(question) {
    const exchange = make("div", "exchange");
    const answer = make("p", "words");
    const note = make("p", "note");
    exchange.append(make("p", "asked", question), answer, note);
    $("log").append(exchange);
    exchange.scrollIntoView({ block: "nearest" });
    this.#input.value = "";
    $("chat-error").hidden = true;
    $("chat-copies").hidden = false;
    $("starters").hidden = true;
    return { exchange, answer, note };
  }

  /**
   * Take back a question that got no whole answer; it can be asked again.
   * @param {HTMLElement} exchange
   * @param {string} question
   */
  #close(exchange, question) {
    if (!exchange.isConnected) return; // another clip was chosen meanwhile
    exchange.remove();
    this.#input.value ||= question;
    $("starters").hidden = $("log").childElementCount > 0;
  }

  /** @param {unknown} error */
  #fail(error) {
    showError($("chat-error"), error);
  }

  #curl() {
    return curl(ROOT.href, "v1/chat/completions", chatFields(this.#sent), this.clip().name, key() !== "");
  }

  #python() {
    return python(ROOT.href, askCall(this.clip().name, this.#sent));
  }
}
