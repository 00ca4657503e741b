/** The chat panel. Each question is sent with the conversation so far. */

import { streamText } from "../server/api.js";
import { chatCall } from "../server/calls.js";
import { RequestRecord } from "../server/request_record.js";
import { $, createElement, isAbort, showError } from "../shared/dom.js";
import { followEnd } from "../shared/follow.js";
import { renderStream, RequestButton } from "../shared/streaming.js";
import { RequestDetails } from "./request_details.js";
import { thinkingBudget } from "./thinking.js";

export class ChatView {
  /** The questions that were answered, and their answers. @type {import("../server/calls.js").Message[]} */
  #history = [];
  /** What the conversation is about: a clip, or a part of it. @type {import("../clip/clip.js").Clip | null} */
  #about = null;
  #details = new RequestDetails($("chat-request"), "chat");
  #input = /** @type {HTMLTextAreaElement} */ ($("question"));
  #follow = followEnd($("log"), $("composer"));

  /**
   * @param {() => import("../clip/clip.js").Clip} clip
   * @param {(clip: import("../clip/clip.js").Clip, question: string, text: string) => void} onText
   */
  constructor(clip, onText) {
    this.clip = clip;
    this.onText = onText;
    this.request = new RequestButton(
      $("ask"), (signal) => this.#ask(signal), (error) => this.#showError(error));
    this.#input.addEventListener("keydown", (event) => this.#onKey(event));
    for (const button of document.querySelectorAll("#suggestions button")) {
      button.addEventListener("click", () => this.#askSuggestion(button.textContent ?? ""));
    }
  }

  /** Discard the conversation about the previous clip. */
  reset() {
    this.request.stop();
    this.#history = [];
    this.#input.value = "";
    $("log").replaceChildren();
    $("chat-error").hidden = true;
    this.#details.reset();
    $("suggestions").hidden = false;
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.request.isRunning) this.request.start();
  }

  /** @param {string} question */
  #askSuggestion(question) {
    this.#input.value = question;
    this.request.start();
  }

  /** @param {AbortSignal} signal */
  async #ask(signal) {
    const question = this.#input.value.trim();
    if (!question) return this.#input.focus();
    const clip = this.clip();
    if (this.#about !== clip) this.#beginAbout(clip);
    const history = this.#history; // `reset` replaces the list
    /** @type {import("../server/calls.js").Message} */
    const message = { role: "user", content: question };
    const record = new RequestRecord(chatCall(clip, [...history, message], thinkingBudget()));
    const { exchange, answer, note } = this.#addExchange(question);
    this.#details.begin(record);
    try {
      await renderStream(showReasoning(streamText(record, signal), answer), answer, note);
      this.onText(record.call.clip, question, answer.textContent ?? "");
    } catch (error) {
      const isKept = isAbort(error) && answer.textContent; // a stopped answer stays
      if (!isKept) this.#removeExchange(exchange, question);
      if (!isKept) throw error;
    } finally {
      this.#details.end(record);
    }
    history.push(message, { role: "assistant", content: answer.textContent ?? "" });
  }

  /**
   * Begin a conversation: the model never hears a part and the whole at once.
   * @param {import("../clip/clip.js").Clip} clip
   */
  #beginAbout(clip) {
    this.#about = clip;
    this.#history = [];
    if (!$("log").childElementCount) return;
    $("log").append(createElement("p", "note separator", `A new conversation, about ${clip.name}`));
  }

  /**
   * Show a question, with an empty answer below it.
   * @param {string} question
   */
  #addExchange(question) {
    const exchange = createElement("div", "exchange");
    const answer = createElement("p", "generated");
    const note = createElement("p", "note");
    exchange.append(createElement("p", "question", question), answer, note);
    $("log").append(exchange);
    this.#input.value = "";
    $("chat-error").hidden = true;
    $("suggestions").hidden = true;
    this.#follow();
    return { exchange, answer, note };
  }

  /**
   * Remove a question whose answer failed, and offer it for editing again.
   * @param {HTMLElement} exchange
   * @param {string} question
   */
  #removeExchange(exchange, question) {
    if (!exchange.isConnected) return; // another clip was chosen meanwhile
    exchange.remove();
    this.#input.value ||= question;
    $("suggestions").hidden = $("log").childElementCount > 0;
  }

  /** @param {unknown} error */
  #showError(error) {
    showError($("chat-error"), error, () => this.request.start());
  }
}

/**
 * Show what the model thinks before it answers, above its answer, and pass the chunks on.
 * @param {AsyncIterable<import("../server/api.js").Chunk>} chunks
 * @param {HTMLElement} answer
 */
async function* showReasoning(chunks, answer) {
  const text = document.createTextNode("");
  for await (const chunk of chunks) {
    if (chunk.reasoning && !text.data) answer.before(reasoningDetails(text));
    text.appendData(chunk.reasoning);
    yield chunk;
  }
}

/** @param {Text} text */
function reasoningDetails(text) {
  const details = createElement("details", "reasoning");
  const shown = createElement("p", "generated");
  shown.append(text);
  details.append(createElement("summary", "", "Reasoning"), shown);
  return details;
}
