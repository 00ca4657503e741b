/**
 * The routes of the server's API that this page uses. Does not touch the document.
 *
 * @typedef {{prompt_tokens: number, completion_tokens: number, audio_seconds: number,
 *   audio_missing_seconds?: number}} Usage
 * @typedef {import("../panels/section_spans.js").Section} Section
 * @typedef {{content: string, parsed?: any, confidence?: Record<string, number>, sections?: Section[], faults?: string[],
 *   comparisons?: import("../panels/measured_view.js").Comparison[],
 *   error?: {code: string, message: string}}} Answer to a question
 * @typedef {import("../panels/measured_view.js").Measured} Measured
 * @typedef {{delta: string, reasoning: string, finish: string | null, usage: Usage | null, answer?: Answer, measured?: Measured}} Chunk
 * @typedef {{name: string, description: string}} Recipe
 * @typedef {{id: string, max_audio_seconds: number, context_tokens: number,
 *            embedding_dimensions: Record<string, number>, random_weights: boolean, commit?: string | null, reasoning?: boolean}} ModelCard
 * @typedef {{fleet: boolean, batches: boolean, example: string | null}} Features
 * @typedef {{embedding: string | number[][], shape: [number, number], layer: string,
 *   missingS: number}} Embedding
 * @typedef {{answers: import("../tags/tags.js").DecisionAnswer[], model: string, usage: Usage}} Decision
 * @typedef {{address: string, ready: boolean, reason: string, backlog_s: number,
 *            queued_s: number, num_open: number, speed: number, num_clips: number,
 *            load?: {caches?: Record<string, {queries: number, hits: number}>} | null}} Endpoint
 * @typedef {{endpoints: Endpoint[], cold: boolean, holding_s: number,
 *            queue: {num: number, audio_s: number, oldest_s: number},
 *            arrivals: {num: number, audio_s: number, covered_s?: number | null}[]}} Fleet
 */

import { formBody, jsonBody } from "./bodies.js";
import { ApiError, fetchJson, send, toApiError, TOO_LONG } from "./http.js";
import { readPayloads } from "./sse.js";

/** @typedef {import("./request_record.js").RequestRecord} RequestRecord */

const NOT_HELD = "clip_not_held";

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
    if (event.error?.code === NOT_HELD && record.call.clip.held.id) {
      record.call.clip.held.id = "";
      yield* streamText(record, signal);
      return;
    }
    if (event.error) throw toApiError(event.error, response);
    const chunk = toChunk(event);
    if (chunk.delta || chunk.reasoning) record.firstMs ||= performance.now();
    record.usage = chunk.usage ?? record.usage;
    record.metrics = event.metrics ?? record.metrics;
    yield chunk;
  }
  record.endedMs = performance.now();
}

/** @param {any} event of a caption or an answer, or of a chat, whose event with the usage has no choices */
function toChunk({ delta, finish_reason, choices, usage, answer, measured }) {
  const choice = choices ? choices[0] : { delta: { content: delta }, finish_reason };
  return {
    delta: choice?.delta?.content ?? "",
    reasoning: choice?.delta?.reasoning_content ?? "",
    finish: choice?.finish_reason ?? null,
    usage: usage ?? null,
    answer,
    measured,
  };
}

/**
 * Compute the embedding of a clip.
 * @param {RequestRecord} record it is completed
 * @param {AbortSignal} signal
 * @returns {Promise<Embedding>}
 */
export async function fetchEmbedding(record, signal) {
  const { data, usage } = await fetchAnswer(record, signal);
  return { ...data[0], missingS: usage.audio_missing_seconds ?? 0 };
}

/**
 * Answer questions about a clip with probabilities.
 * @param {RequestRecord} record it is completed
 * @param {AbortSignal} signal
 * @returns {Promise<Decision>}
 */
export const fetchDecision = (record, signal) => fetchAnswer(record, signal);

/**
 * @param {RequestRecord} record of a request that does not stream; it is completed
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
async function fetchAnswer(record, signal) {
  const answer = await (await sendCall(record, signal)).json();
  Object.assign(record, { usage: answer.usage, metrics: answer.metrics ?? null });
  record.endedMs = performance.now();
  return answer;
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
  const body = clip.file ? formBody(fields, clip.held.id || clip.file) : jsonBody(fields);
  const headers = { "x-flamingo-metrics": "true" };
  try {
    const response = await send(path, { method: "POST", body, signal, headers });
    clip.held.id = clip.file ? response.headers.get("x-flamingo-audio-id") ?? "" : "";
    record.requestId = response.headers.get("x-request-id") ?? "";
    return response;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== NOT_HELD || !clip.held.id) throw error;
    clip.held.id = "";
    return sendCall(record, signal);
  }
}
