/** The bodies of the requests that this page sends. Pure. */

/** @param {object} fields */
export const jsonBody = (fields) => new Blob([JSON.stringify(fields)], { type: "application/json" });

/**
 * The parameters come first, so that the server can reject a request before its audio arrives.
 * @param {object} fields
 * @param {File | string} audio a file, or the id of one that the server holds
 */
export function formBody(fields, audio) {
  const body = new FormData();
  body.append("request", JSON.stringify(fields));
  if (typeof audio === "string") body.append("audio_id", audio);
  else body.append("file", audio, audio.name);
  return body;
}
