/**
 * Where the time of a request went, by the server's timings and by the page's clock. Pure.
 *
 * @typedef {{name: string, label: string, ms: number}} Stage
 */

/**
 * @param {import("../server/request_record.js").RequestRecord} record
 * @param {number} nowMs
 * @returns {Stage[]} in the order in which they happen; together they are the whole time.
 */
export function stagesOf({ metrics, startedMs, endedMs }, nowMs) {
  const totalMs = (endedMs || nowMs) - startedMs;
  if (!metrics) return [{ name: "transfer", label: "Whole request", ms: totalMs }];
  const { audio_decode_ms, queue_time_ms, time_to_first_token_ms, generation_time_ms } = metrics;
  const stages = [
    { name: "decode", label: "Decode the audio", ms: audio_decode_ms },
    { name: "queue", label: "Wait in the queue", ms: queue_time_ms },
    { name: "prefill", label: "Encode and prefill", ms: time_to_first_token_ms - queue_time_ms },
    { name: "generation", label: "Generate", ms: generation_time_ms },
  ].map((stage) => ({ ...stage, ms: Math.max(0, stage.ms) }));
  const serverMs = stages.reduce((sum, stage) => sum + stage.ms, 0);
  const transferMs = Math.max(0, totalMs - serverMs);
  return [{ name: "transfer", label: "Upload, router and network", ms: transferMs }, ...stages];
}
