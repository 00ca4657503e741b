/**
 * The parts of the server's HTTP API that this page uses. Does not touch the document.
 *
 * @typedef {{prompt_tokens: number, completion_tokens: number, audio_seconds: number,
 *   audio_missing_seconds?: number}} Usage
 * @typedef {{delta: string, finish: string | null, usage: Usage | null}} Chunk
 * @typedef {{role: "user" | "assistant", content: string}} Message
 * @typedef {{style?: string, prompt?: string, maxTokens?: number}} CaptionOptions
 * @typedef {{id: string, max_audio_seconds: number, context_tokens: number,
 *            embedding_dimensions: Record<string, number>, random_weights: boolean}} ModelCard
 * @typedef {{embedding: string | number[][], shape: [number, number], layer: string,
 *   missingS: number}} Embedding
 * @typedef {{address: string, ready: boolean, reason: string, backlog_s: number,
 *            queued_s: number, num_open: number, speed: number}} Endpoint
 * @typedef {{endpoints: Endpoint[], cold: boolean, holding_s: number,
 *            queue: {num: number, audio_s: number, oldest_s: number},
 *            arrivals: {num: number, audio_s: number}[]}} Fleet
 */

import { reportReachable, reportUnreachable } from "./connection.js";
import { apiKey, requestNewKey } from "./credentials.js";
import { readPayloads } from "./sse.js";

/** The API's base URL: one level above the page, whatever path prefix a proxy adds. */
export const ROOT = new URL("../../", import.meta.url);

/** An error that the server returned, or a failure to reach it. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{code?: string | null, requestId?: string | null, status?: number,
   *          retryAfter?: string | null}} [details]
   */
  constructor(message, details = {}) {
    super(message);
    this.code = details.code ?? null;
    this.requestId = details.requestId ?? null;
    this.status = details.status ?? 0;
    this.retryAfter = details.retryAfter ?? null;
  }
}

/** @returns {Promise<{fleet: boolean, batches: boolean, example: string | null}>} optional features. */
export const fetchFeatures = () => fetchJson("ui/features.json");

/** @returns {Promise<ModelCard>} the model that is served. */
export async function fetchModel() {
  const list = await fetchJson("v1/models");
  if (!list.data?.length) throw new ApiError("No model is being served yet.");
  return list.data[0];
}

/** @returns {Promise<Fleet>} the pods behind this router, its queue, and the arrival rates. */
export const fetchFleet = () => fetchJson("fleet");

/** @returns {Promise<Blob>} the example clip. */
export const fetchExample = async () => (await send("ui/example.mp3")).blob();

/**
 * Generate a caption.
 * @param {File} file
 * @param {object} fields the request, see `captionFields`
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* streamCaption(file, fields, signal) {
  for await (const chunk of stream("v1/audio/captions", fields, file, signal)) {
    yield { delta: chunk.delta, finish: chunk.finish_reason, usage: chunk.usage };
  }
}

/**
 * Send a conversation about a clip. The server adds the file to the first user message.
 * @param {File} file
 * @param {object} fields the request, see `chatFields`
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* streamChat(file, fields, signal) {
  for await (const chunk of stream("v1/chat/completions", fields, file, signal)) {
    const choice = chunk.choices?.[0]; // the event with the usage has no choices
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
export async function fetchEmbedding(file, fields, signal) {
  const body = formBody(fields, file);
  const response = await send("v1/audio/embeddings", { method: "POST", body, signal });
  const { data, usage } = await response.json();
  return { ...data[0], missingS: usage.audio_missing_seconds ?? 0 };
}

/** @param {CaptionOptions} options */
export function captionFields({ style, prompt, maxTokens }) {
  const prompting = prompt ? { prompt } : { style };
  return { ...prompting, stream: true, ...(maxTokens ? { max_tokens: maxTokens } : {}) };
}

/** @param {Message[]} messages */
export function chatFields(messages) {
  return { messages, stream: true, stream_options: { include_usage: true } };
}

/** @param {string} layer */
export function embeddingFields(layer) {
  return { layer, encoding_format: "base64" };
}

/**
 * The parameters come first, so that the server can reject a request before its audio arrives.
 * @param {object} fields
 * @param {File} file
 */
function formBody(fields, file) {
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
  const response = await send(path, { method: "POST", body: formBody(fields, file), signal });
  if (!response.body) throw new ApiError("The server sent an empty response.");
  for await (const payload of readPayloads(response.body)) {
    const event = JSON.parse(payload);
    if (event.error) throw toApiError(event.error, response);
    yield event;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
export const fetchJson = async (path, options) => (await send(path, options)).json();

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} the response; any status but 2xx is thrown as an ApiError.
 */
export async function send(path, options) {
  const key = apiKey();
  const headers = key ? { authorization: `Bearer ${key}` } : undefined;
  const response = await fetch(new URL(path, ROOT), { ...options, headers }).catch(throwUnreachable);
  reportReachable();
  if (response.ok) return response;
  if (response.status === 401) {
    if (await requestNewKey(key)) return send(path, options);
    throw toApiError({ code: "invalid_api_key", message: key ? KEY_REJECTED : KEY_REQUIRED }, response);
  }
  const body = await response.json().catch(() => null);
  throw toApiError(body?.error ?? {}, response);
}

const KEY_REQUIRED = "This server requires an API key.";
const KEY_REJECTED = "The server rejected this API key.";

/**
 * @param {unknown} error thrown by `fetch`: a TypeError whose text depends on the browser, or an abort
 * @returns {never}
 */
function throwUnreachable(error) {
  if (!(error instanceof TypeError)) throw error;
  reportUnreachable(() => send("health/live"));
  throw new ApiError("Cannot reach the server.");
}

/**
 * @param {{message?: string, code?: string | null}} error OpenAI's error object
 * @param {Response} response
 */
function toApiError(error, response) {
  return new ApiError(error.message ?? `The server responded with HTTP ${response.status}.`, {
    code: error.code,
    requestId: response.headers.get("x-request-id"),
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
  });
}
