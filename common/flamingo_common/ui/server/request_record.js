/**
 * What is known about one request: what was sent, and what came of it.
 *
 * @typedef {{time_to_first_token_ms: number, queue_time_ms: number, generation_time_ms: number,
 *   mean_itl_ms: number | null, tokens_per_second: number | null, audio_decode_ms: number,
 *   compute_ms: number}} Metrics the server's own timings
 */

export class RequestRecord {
  /** The server's name for the request. */
  requestId = "";
  /** @type {Metrics | null} */
  metrics = null;
  /** @type {import("./api.js").Usage | null} */
  usage = null;
  startedMs = performance.now();
  /** When the first text arrived; 0: not yet. */
  firstMs = 0;
  /** When the response was complete; 0: not yet. */
  endedMs = 0;

  /** @param {import("./calls.js").Call} call */
  constructor(call) {
    this.call = call;
  }
}
