/**
 * Parses server-sent events from the body of a fetch response. `EventSource` cannot POST.
 */

const MAX_EVENT_CHARS = 16 * 2 ** 20;
const CONNECTION_LOST = "The connection was lost before the response was complete.";

/**
 * Yield the data of each event until `[DONE]`.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void, void>}
 * @throws {Error} if the stream ends before `[DONE]`, or an event is too long.
 */
export async function* readPayloads(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(throwLost);
      if (done) throw new Error(CONNECTION_LOST);
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_EVENT_CHARS) throw new Error("The server sent an event of more than 16 MiB.");
      for (const payload of dataOf(lines)) {
        if (payload === "[DONE]") return;
        yield payload;
      }
    }
  } finally {
    // Closing the connection cancels the request on the server.
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {unknown} error thrown by `read`: a TypeError whose text depends on the browser, or an abort
 * @returns {never}
 */
function throwLost(error) {
  throw error instanceof TypeError ? new Error(CONNECTION_LOST) : error;
}

/**
 * @param {string[]} lines
 * @returns {string[]} the values of the `data` fields; comments and other fields are skipped.
 */
function dataOf(lines) {
  return lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
}
