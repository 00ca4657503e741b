/**
 * The parts of the server's HTTP API that this page uses. Does not touch the document.
 *
 * @typedef {{prompt_tokens: number, completion_tokens: number, audio_seconds: number,
 *   audio_missing_seconds?: number}} Usage
 * @typedef {import("../panels/section_spans.js").Section} Section
 * @typedef {{content: string, parsed?: any, sections?: Section[], faults?: string[],
 *   error?: {code: string, message: string}}} Answer to a question
 * @typedef {{delta: string, finish: string | null, usage: Usage | null, answer?: Answer}} Chunk
 * @typedef {{name: string, description: string}} Recipe
 * @typedef {{id: string, max_audio_seconds: number, context_tokens: number,
 *            embedding_dimensions: Record<string, number>, random_weights: boolean}} ModelCard
 * @typedef {{fleet: boolean, batches: boolean, example: string | null}} Features
 * @typedef {{embedding: string | number[][], shape: [number, number], layer: string,
 *   missingS: number}} Embedding
 * @typedef {{address: string, ready: boolean, reason: string, backlog_s: number,
 *            queued_s: number, num_open: number, speed: number, num_clips: number}} Endpoint
 * @typedef {{endpoints: Endpoint[], cold: boolean, holding_s: number,
 *            queue: {num: number, audio_s: number, oldest_s: number},
 *            arrivals: {num: number, audio_s: number}[]}} Fleet
 */

import { formBody, jsonBody } from "./bodies.js";
import { reportReachable, reportUnreachable } from "./connection.js";
import { apiKey, requestNewKey } from "./credentials.js";
import { readPayloads } from "./sse.js";

/** @typedef {import("./request_record.js").RequestRecord} RequestRecord */

export const TOO_LONG = "audio_too_long";
const NOT_HELD = "clip_not_held";

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

/** @returns {Promise<Features>} what this server has beside a model. */
export const fetchFeatures = () => fetchJson("ui/features.json");

/** @returns {Promise<ModelCard>} the model that is served. */
export async function fetchModel() {
  const list = await fetchJson("v1/models");
  if (!list.data?.length) throw new ApiError("No model is being served yet.");
  return list.data[0];
}

/** @returns {Promise<Recipe[]>} what questions about a clip can name. */
export const fetchRecipes = async () => (await fetchJson("v1/recipes")).data;

/** @returns {Promise<Fleet>} the pods behind this router, its queue, and the arrival rates. */
export const fetchFleet = () => fetchJson("fleet");

/** @returns {Promise<Blob>} the example clip. */
export const fetchExample = async () => (await send("ui/example.mp3")).blob();

/**
 * Generate text about a clip.
 * @param {RequestRecord} record of a request that streams; it is completed
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* streamText(record, signal) {
  const response = await sendCall(record, signal);
  if (!response.body) throw new ApiError("The server sent an empty response.");
  for await (const payload of readPayloads(response.body)) {
    const event = JSON.parse(payload);
    if (event.error?.code === NOT_HELD && record.call.clip.id) {
      record.call.clip.id = "";
      yield* streamText(record, signal);
      return;
    }
    if (event.error) throw toApiError(event.error, response);
    const chunk = toChunk(event);
    if (chunk.delta) record.firstMs ||= performance.now();
    record.usage = chunk.usage ?? record.usage;
    record.metrics = event.metrics ?? record.metrics;
    yield chunk;
  }
  record.endedMs = performance.now();
}

/** @param {any} event of a caption or an answer, or of a chat, whose event with the usage has no choices */
function toChunk({ delta, finish_reason, choices, usage, answer }) {
  const choice = choices ? choices[0] : { delta: { content: delta }, finish_reason };
  return {
    delta: choice?.delta?.content ?? "",
    finish: choice?.finish_reason ?? null,
    usage: usage ?? null,
    answer,
  };
}

/**
 * Compute the embedding of a clip.
 * @param {RequestRecord} record it is completed
 * @param {AbortSignal} signal
 * @returns {Promise<Embedding>}
 */
export async function fetchEmbedding(record, signal) {
  const answer = await (await sendCall(record, signal)).json();
  Object.assign(record, { usage: answer.usage, metrics: answer.metrics ?? null });
  record.endedMs = performance.now();
  return { ...answer.data[0], missingS: answer.usage.audio_missing_seconds ?? 0 };
}

/**
 * Send a request with its clip, or only with the clip's id while the server holds it.
 * @param {RequestRecord} record
 * @param {AbortSignal} signal
 * @returns {Promise<Response>}
 */
async function sendCall(record, signal) {
  const { path, fields, clip } = record.call;
  if (clip.refusal) throw new ApiError(clip.refusal, { code: TOO_LONG });
  const body = clip.file ? formBody(fields, clip.id || clip.file) : jsonBody(fields);
  const headers = { "x-flamingo-metrics": "true" };
  try {
    const response = await send(path, { method: "POST", body, signal, headers });
    clip.id = clip.file ? response.headers.get("x-flamingo-audio-id") ?? "" : "";
    record.requestId = response.headers.get("x-request-id") ?? "";
    return response;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== NOT_HELD || !clip.id) throw error;
    clip.id = "";
    return sendCall(record, signal);
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
  const headers = { ...options?.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
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

/** The server's own words are about a parameter, for which the page has a button. */
const TOO_LONG_TEXT = "This clip is longer than what the model hears.";
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
  const message = error.code === TOO_LONG ? TOO_LONG_TEXT : error.message;
  return new ApiError(message ?? `The server responded with HTTP ${response.status}.`, {
    code: error.code,
    requestId: response.headers.get("x-request-id"),
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
  });
}
