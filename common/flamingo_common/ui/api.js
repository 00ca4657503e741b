/**
 * The server's HTTP API, as this page uses it. Nothing here touches the document.
 *
 * @typedef {{prompt_tokens: number, completion_tokens: number, audio_seconds: number}} Usage
 * @typedef {{delta: string, finish: string | null, usage: Usage | null}} Chunk
 * @typedef {{role: "user" | "assistant", content: string}} Turn
 * @typedef {{style?: string, prompt?: string, maxTokens?: number}} CaptionOptions
 * @typedef {{id: string, max_audio_seconds: number, context_tokens: number,
 *            embedding_dimensions: Record<string, number>, random_weights: boolean}} ModelCard
 * @typedef {{embedding: string | number[][], shape: [number, number], layer: string}} Embedding
 * @typedef {{address: string, ready: boolean, reason: string, backlog_s: number,
 *            queued_s: number, num_open: number, speed: number}} Endpoint
 * @typedef {{endpoints: Endpoint[], cold: boolean, holding_s: number,
 *            queue: {num: number, audio_s: number, oldest_s: number},
 *            arrivals: {num: number, audio_s: number}[]}} Fleet
 */

import { another, key } from "./credentials.js";
import { payloads } from "./sse.js";

/** Where the API lives: one level above the page, whatever path a proxy puts before it. */
export const ROOT = new URL("../", import.meta.url);

/** An error as the server told it. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{code?: string | null, requestId?: string | null, status?: number,
   *          retryAfter?: string | null}} [facts]
   */
  constructor(message, facts = {}) {
    super(message);
    this.code = facts.code ?? null;
    this.requestId = facts.requestId ?? null;
    this.status = facts.status ?? 0;
    this.retryAfter = facts.retryAfter ?? null;
  }
}

/** @returns {Promise<{fleet: boolean, example: string | null}>} what this server has to show. */
export const here = () => json("ui/features.json");

/** @returns {Promise<ModelCard>} the model served. */
export async function model() {
  const list = await json("v1/models");
  if (!list.data?.length) throw new ApiError("No model is served here yet.");
  return list.data[0];
}

/** @returns {Promise<Fleet>} the pods behind this router, what waits here, what comes in. */
export const fleet = () => json("fleet");

/** @returns {Promise<Blob>} the clip that comes with the server. */
export const example = async () => (await send("ui/example.mp3")).blob();

/**
 * Write a caption.
 * @param {File} file
 * @param {object} fields the request, see `captionFields`
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* caption(file, fields, signal) {
  for await (const chunk of stream("v1/audio/captions", fields, file, signal)) {
    yield { delta: chunk.delta, finish: chunk.finish_reason, usage: chunk.usage };
  }
}

/**
 * Ask about a clip. The server puts the file into the first user turn.
 * @param {File} file
 * @param {object} fields the request, see `chatFields`
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* ask(file, fields, signal) {
  for await (const chunk of stream("v1/chat/completions", fields, file, signal)) {
    const choice = chunk.choices?.[0]; // the event that carries the usage has none
    yield {
      delta: choice?.delta?.content ?? "",
      finish: choice?.finish_reason ?? null,
      usage: chunk.usage ?? null,
    };
  }
}

/**
 * Compute the embedding of a clip.
 * @param {File} file
 * @param {object} fields the request, see `embeddingFields`
 * @param {AbortSignal} signal
 * @returns {Promise<Embedding>}
 */
export async function embed(file, fields, signal) {
  const body = form(fields, file);
  const response = await send("v1/audio/embeddings", { method: "POST", body, signal });
  return (await response.json()).data[0];
}

/** @param {CaptionOptions} options */
export function captionFields({ style, prompt, maxTokens }) {
  const words = prompt ? { prompt } : { style };
  return { ...words, stream: true, ...(maxTokens ? { max_tokens: maxTokens } : {}) };
}

/** @param {Turn[]} messages */
export function chatFields(messages) {
  return { messages, stream: true, stream_options: { include_usage: true } };
}

/** @param {string} layer */
export function embeddingFields(layer) {
  return { layer, encoding_format: "base64" };
}

/**
 * The request comes first, so that a server can refuse it before the audio has arrived.
 * @param {object} fields
 * @param {File} file
 */
function form(fields, file) {
  const body = new FormData();
  body.append("request", JSON.stringify(fields));
  body.append("file", file, file.name);
  return body;
}

/**
 * @param {string} path
 * @param {object} fields
 * @param {File} file
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<any, void, void>}
 */
async function* stream(path, fields, file, signal) {
  const response = await send(path, { method: "POST", body: form(fields, file), signal });
  if (!response.body) throw new ApiError("The server sent an empty answer.");
  for await (const payload of payloads(response.body)) {
    const event = JSON.parse(payload);
    if (event.error) throw told(event.error, response);
    yield event;
  }
}

/** @param {string} path */
const json = async (path) => (await send(path)).json();

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} the answer, when it is a good one.
 */
async function send(path, options) {
  const sent = key();
  const headers = sent ? { authorization: `Bearer ${sent}` } : undefined;
  const response = await fetch(new URL(path, ROOT), { ...options, headers }).catch(unreachable);
  if (response.ok) return response;
  if (response.status === 401 && (await another(sent))) return send(path, options);
  const body = await response.json().catch(() => null);
  throw told(body?.error ?? {}, response);
}

/**
 * @param {unknown} error what `fetch` threw: a TypeError with a browser's own words, or a stop
 * @returns {never}
 */
function unreachable(error) {
  throw error instanceof TypeError ? new ApiError("The server cannot be reached.") : error;
}

/**
 * @param {{message?: string, code?: string | null}} error OpenAI's error object
 * @param {Response} response
 */
function told(error, response) {
  return new ApiError(error.message ?? `The server answered with status ${response.status}.`, {
    code: error.code,
    requestId: response.headers.get("x-request-id"),
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
  });
}
