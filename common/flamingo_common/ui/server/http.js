/** Requests to the server: with the API key, and with its errors as exceptions. */

import { reportReachable, reportUnreachable } from "./connection.js";
import { apiKey, requestNewKey } from "./credentials.js";

export const TOO_LONG = "audio_too_long";

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
export function toApiError(error, response) {
  const message = error.code === TOO_LONG ? TOO_LONG_TEXT : error.message;
  return new ApiError(message ?? `The server responded with HTTP ${response.status}.`, {
    code: error.code,
    requestId: response.headers.get("x-request-id"),
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
  });
}
