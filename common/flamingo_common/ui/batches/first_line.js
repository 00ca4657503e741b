/** The first line of a file, without reading the whole file into memory. */

const READ_BYTES = 2 ** 16;
const MAX_BYTES = 2 ** 24; // a line with a clip in base64 can be as long

/**
 * @param {Blob} file
 * @returns {Promise<string>} its first line; what was read of one that is too long.
 */
export async function readFirstLine(file) {
  for (let size = READ_BYTES; ; size *= 4) {
    const text = await file.slice(0, size).text();
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
    if (size >= Math.min(file.size, MAX_BYTES)) return text;
  }
}
