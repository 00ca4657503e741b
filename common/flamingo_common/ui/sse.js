/**
 * Server-sent events out of a fetch body: bytes as they arrive, payloads whole.
 * `EventSource` cannot POST; this is the part of it that we need.
 */

const MAX_EVENT_CHARS = 16 * 2 ** 20;
const LOST = "The connection ended before the answer did.";

/**
 * Yield each payload until `[DONE]`.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void, void>}
 * @throws {Error} when the stream ends before `[DONE]`, or an event never ends.
 */
export async function* payloads(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(lost);
      if (done) throw new Error(LOST);
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_EVENT_CHARS) throw new Error("The server sent an event without end.");
      for (const payload of dataOf(lines)) {
        if (payload === "[DONE]") return;
        yield payload;
      }
    }
  } finally {
    // Whoever stops listening closes the connection, and so stops the work behind it.
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {unknown} error what reading threw: a TypeError with a browser's own words, or a stop
 * @returns {never}
 */
function lost(error) {
  throw error instanceof TypeError ? new Error(LOST) : error;
}

/**
 * @param {string[]} lines
 * @returns {string[]} what stands behind `data:`; comments and other fields are skipped.
 */
function dataOf(lines) {
  return lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
}
