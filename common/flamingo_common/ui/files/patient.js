/** A request that waits and tries again while the server is busy, as it asks for. */

import { ApiError } from "../server/http.js";

const MAX_TRIES = 6;
const BUSY = [429, 503];
const DEFAULT_WAIT_S = 2;

/**
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} send
 */
export async function sendPatiently(signal, send) {
  for (let number = 1; ; number += 1) {
    try {
      return await send();
    } catch (error) {
      if (!isBusy(error) || number === MAX_TRIES) throw error;
      await wait((Number(error.retryAfter) || DEFAULT_WAIT_S) * 1000, signal);
    }
  }
}

/**
 * @param {unknown} error
 * @returns {error is ApiError}
 */
const isBusy = (error) => error instanceof ApiError && BUSY.includes(error.status);

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>} rejected when the signal is aborted
 */
function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
