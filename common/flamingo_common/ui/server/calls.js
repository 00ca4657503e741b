/**
 * The requests about a clip that this page sends. Pure.
 *
 * @typedef {{role: "user" | "assistant", content: string}} Message
 * @typedef {{style?: string, prompt?: string, maxTokens?: number, thinkingBudget?: number}} CaptionOptions
 * @typedef {{path: string, fields: Record<string, any>, clip: import("../clip/clip.js").Clip,
 *   taxonomies?: string[], calibration?: string}} Call
 *   `fields` are the whole request, except for the file of the clip; `taxonomies` are the names of
 *   those whose questions it asks, and `calibration` is the file whose temperatures their answers get
 */

/** @typedef {import("../clip/clip.js").Clip} Clip */

/**
 * @param {Clip} clip
 * @param {CaptionOptions} options
 * @returns {Call}
 */
export function captionCall(clip, { style, prompt, maxTokens, thinkingBudget }) {
  const prompting = prompt ? { prompt } : { style };
  const limits = { ...(maxTokens ? { max_tokens: maxTokens } : {}), ...thinkingField(thinkingBudget) };
  const fields = { ...prompting, stream: true, ...limits };
  return { path: "v1/audio/captions", fields: { ...fields, ...clipFields(clip) }, clip };
}

/**
 * A conversation about a clip. The server adds a file to the first user message.
 * @param {Clip} clip
 * @param {Message[]} messages
 * @param {number} [thinkingBudget]
 * @returns {Call}
 */
export function chatCall(clip, messages, thinkingBudget) {
  const { audio, ...options } = clipFields(clip);
  const fields = {
    messages: audio ? withLink(messages, audio.url) : messages,
    stream: true,
    stream_options: { include_usage: true },
    ...thinkingField(thinkingBudget),
    ...options,
  };
  return { path: "v1/chat/completions", fields, clip };
}

/**
 * @param {Clip} clip
 * @param {string} name of a recipe
 * @param {{measures: boolean, thinkingBudget?: number}} options `measures`: tempo, key and loudness, too
 * @returns {Call}
 */
export function recipeCall(clip, name, { measures, thinkingBudget }) {
  const options = { ...(measures ? { measure: true } : {}), ...thinkingField(thinkingBudget) };
  const fields = { questions: [{ name, recipe: name }], confidence: true, ...options, stream: true };
  return { path: "v1/audio/analyze", fields: { ...fields, ...clipFields(clip) }, clip };
}

/**
 * Ask how likely the labels of taxonomies are.
 * @param {Clip} clip
 * @param {import("../tags/tags.js").Taxonomy[]} taxonomies
 * @param {import("../tags/calibration.js").Calibration | null} calibration
 * @returns {Call}
 */
export function tagsCall(clip, taxonomies, calibration) {
  const { audio, ...options } = clipFields(clip);
  const input = audio ? { input: [{ role: "user", content: [linkPart(audio.url)] }] } : {};
  const questions = taxonomies.flatMap((taxonomy) => taxonomy.questions);
  const names = taxonomies.map(({ name }) => name);
  const orders = calibration ? { orders: calibration.orders } : {};
  const fields = { questions, ...input, ...orders, ...options };
  return { path: "v1/decisions", fields, clip, taxonomies: names, calibration: calibration?.file };
}

/**
 * @param {Clip} clip
 * @param {string} layer
 * @returns {Call}
 */
export function embeddingCall(clip, layer) {
  const fields = { layer, encoding_format: "base64", ...clipFields(clip) };
  return { path: "v1/audio/embeddings", fields, clip };
}

/**
 * @param {Clip} clip
 * @returns {{start?: number, end?: number, truncate?: true, audio?: {url: string}}} what every
 *   request about the clip has.
 */
function clipFields({ startS, endS, truncate, isTooLong, durationS, url }) {
  const isCut = truncate && (isTooLong || !durationS);
  return {
    ...(startS > 0 ? { start: roundToMs(startS) } : {}),
    ...(Number.isFinite(endS) ? { end: roundToMs(endS) } : {}),
    ...(isCut ? { truncate: true } : {}),
    ...(url ? { audio: { url } } : {}),
  };
}

/** @param {number} [tokens] of reasoning at most; undefined: as the model has it */
const thinkingField = (tokens) => (tokens === undefined ? {} : { thinking_token_budget: tokens });

/** @param {number} seconds rounded, since frames of the model take 40 ms */
const roundToMs = (seconds) => Math.round(seconds * 1000) / 1000;

/**
 * @param {Message[]} messages
 * @param {string} url
 */
function withLink(messages, url) {
  const [first, ...others] = messages;
  const content = [linkPart(url), { type: "text", text: first.content }];
  return [{ role: first.role, content }, ...others];
}

/** @param {string} url */
const linkPart = (url) => ({ type: "audio_url", audio_url: { url } });
