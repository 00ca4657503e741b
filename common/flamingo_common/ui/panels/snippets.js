/** The last request as a curl command and as a Python program. Pure. */

/**
 * @param {string} root the server's URL, with a trailing slash
 * @param {string} path
 * @param {object} fields
 * @param {string} fileName
 * @param {boolean} hasKey whether to send the key in FLAMINGO_API_KEY
 */
export function curlCommand(root, path, fields, fileName, hasKey) {
  const noBuffer = "stream" in fields ? " -N" : "";
  return [
    `curl${noBuffer} ${shellQuote(root + path)}`,
    ...(hasKey ? ['  -H "Authorization: Bearer $FLAMINGO_API_KEY"'] : []),
    // --form-string: -F would read a value that begins with @ or < as a file name.
    `  --form-string ${shellQuote(`request=${JSON.stringify(fields)}`)}`,
    `  -F ${shellQuote(`file=@"${fileName.replace(/[\\"]/g, "\\$&")}"`)}`,
  ].join(" \\\n");
}

/**
 * @param {string} root
 * @param {string} call an expression on `client`
 */
export function pythonProgram(root, call) {
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
 * @param {import("../server/api.js").CaptionOptions} options
 */
export function captionCall(fileName, { style, prompt, maxTokens }) {
  const prompting = prompt ? `prompt=${literal(prompt)}` : `style=${literal(style ?? "detailed")}`;
  const limit = maxTokens ? `, max_tokens=${maxTokens}` : "";
  return `print(client.caption(${literal(fileName)}, ${prompting}${limit}).caption)`;
}

/**
 * @param {string} fileName
 * @param {import("../server/api.js").Message[]} messages
 */
export function askCall(fileName, messages) {
  const file = literal(fileName);
  if (messages.length === 1) return `print(client.ask(${file}, ${literal(messages[0].content)}).text)`;
  const lines = messages.map((message) => `        ${literal(message)},`).join("\n");
  return `messages = [\n${lines}\n    ]\n    print(client.chat(messages, audio=${file}).text)`;
}

/**
 * @param {string} fileName
 * @param {string} layer
 */
export const embedCall = (fileName, layer) =>
  `print(client.embed(${literal(fileName)}, layer=${literal(layer)}).embedding.shape)`;

/** @param {string} text to put in single quotes, in which a POSIX shell expands nothing */
const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {string | object} value a string or an object of strings: their JSON is valid Python */
const literal = (value) => JSON.stringify(value);
