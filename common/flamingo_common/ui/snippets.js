/** What was just done, as a command and as a program. Pure. */

/**
 * @param {string} root the server's address, with its last slash
 * @param {string} path
 * @param {object} fields
 * @param {string} fileName
 * @param {boolean} hasKey whether to send the one in the reader's environment
 */
export function curl(root, path, fields, fileName, hasKey) {
  const noBuffer = "stream" in fields ? " -N" : "";
  return [
    `curl${noBuffer} ${shell(root + path)}`,
    ...(hasKey ? ['  -H "Authorization: Bearer $FLAMINGO_API_KEY"'] : []),
    // --form-string, because -F would read a leading @ or < as a file's name.
    `  --form-string ${shell(`request=${JSON.stringify(fields)}`)}`,
    `  -F ${shell(`file=@"${fileName.replace(/[\\"]/g, "\\$&")}"`)}`,
  ].join(" \\\n");
}

/**
 * @param {string} root
 * @param {string} call an expression on `client`
 */
export function python(root, call) {
  return [
    "from flamingo import FlamingoClient",
    "",
    `with FlamingoClient(${literal(root.replace(/\/$/, ""))}) as client:`,
    `    ${call}`,
    "",
  ].join("\n");
}

/**
 * @param {string} fileName
 * @param {import("./api.js").CaptionOptions} options
 */
export function captionCall(fileName, { style, prompt, maxTokens }) {
  const words = prompt ? `prompt=${literal(prompt)}` : `style=${literal(style ?? "detailed")}`;
  const limit = maxTokens ? `, max_tokens=${maxTokens}` : "";
  return `print(client.caption(${literal(fileName)}, ${words}${limit}).caption)`;
}

/**
 * @param {string} fileName
 * @param {import("./api.js").Turn[]} messages
 */
export function askCall(fileName, messages) {
  const file = literal(fileName);
  if (messages.length === 1) return `print(client.ask(${file}, ${literal(messages[0].content)}).text)`;
  const turns = messages.map((turn) => `        ${literal(turn)},`).join("\n");
  return `messages = [\n${turns}\n    ]\n    print(client.chat(messages, audio=${file}).text)`;
}

/**
 * @param {string} fileName
 * @param {string} layer
 */
export const embedCall = (fileName, layer) =>
  `print(client.embed(${literal(fileName)}, layer=${literal(layer)}).embedding.shape)`;

/** @param {string} text in single quotes, which a POSIX shell takes as it is */
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {string | object} value strings, and objects of strings, are the same in Python */
const literal = (value) => JSON.stringify(value);
