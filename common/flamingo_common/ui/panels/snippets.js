/**
 * A request as a curl command, as a Python program and as a JavaScript program. Pure.
 *
 * @typedef {import("../server/calls.js").Call} Call
 */

/** Fields that concern how this page reads the response. */
const OF_THIS_PAGE = new Set(["stream", "stream_options", "encoding_format"]);

/**
 * @param {string} root the server's URL, with a trailing slash
 * @param {Call} call
 * @param {boolean} hasKey whether to send the key in FLAMINGO_API_KEY
 */
export function curlCommand(root, { path, fields, clip, calibration }, hasKey) {
  const noBuffer = "stream" in fields ? " -N" : "";
  const json = JSON.stringify(fields);
  // --form-string: -F would read a value that begins with @ or < as a file name.
  const form = [
    `  --form-string ${shellQuote(`request=${json}`)}`,
    `  -F ${shellQuote(`file=@"${fileName(clip).replace(/[\\"]/g, "\\$&")}"`)}`,
  ];
  const body = ["  -H 'Content-Type: application/json'", `  --data-raw ${shellQuote(json)}`];
  const command = [
    `curl${noBuffer} ${shellQuote(root + path)}`,
    ...(hasKey ? ['  -H "Authorization: Bearer $FLAMINGO_API_KEY"'] : []),
    ...(clip.file ? form : body),
  ].join(" \\\n");
  return calibration ? `# ${notCalibrated(calibration)}\n${command}` : command;
}

/**
 * @param {string} root
 * @param {Call} call
 */
export function pythonProgram(root, call) {
  return [
    "from flamingo import FlamingoClient",
    "",
    `with FlamingoClient(${pythonLiteral(root.replace(/\/$/, ""))}) as client:`,
    `    ${pythonCall(call)}`,
    "",
  ].join("\n");
}

/** @param {Call} call */
function pythonCall({ path, fields, clip, taxonomies, calibration }) {
  const { messages, audio: _, input: __, ...others } = fields;
  if (taxonomies) delete others.questions; // the client has those of a taxonomy by its name
  if (calibration) delete others.orders; // the client has them from the file
  const audio = pythonLiteral(clip.file ? fileName(clip) : clip.url);
  const options = Object.entries(others)
    .filter(([name]) => !OF_THIS_PAGE.has(name))
    .map(([name, value]) => `, ${name}=${pythonLiteral(value)}`)
    .join("");
  if (path.endsWith("captions")) return `print(client.caption(${audio}${options}).caption)`;
  if (path.endsWith("embeddings")) return `print(client.embed(${audio}${options}).embedding.shape)`;
  if (path.endsWith("analyze")) return `print(client.analyze(${audio}${options}).answers)`;
  if (taxonomies) {
    const names = taxonomies.map((name) => `, ${pythonLiteral(name)}`).join("");
    const file = calibration ? `, calibration=${pythonLiteral(calibration)}` : "";
    return `print(client.tag(${audio}${names}${file}${options}).tags)`;
  }
  const said = messages.map(withoutAudio);
  if (said.length === 1) {
    return `print(client.ask(${audio}, ${pythonLiteral(said[0].content)}${options}).text)`;
  }
  const lines = said.map((/** @type {object} */ message) => `        ${pythonLiteral(message)},`);
  return `messages = [\n${lines.join("\n")}\n    ]\n    print(client.chat(messages, audio=${audio}${options}).text)`;
}

/** @param {{role: string, content: any}} message the client adds the clip itself */
function withoutAudio({ role, content }) {
  if (typeof content === "string") return { role, content };
  return { role, content: content.find((/** @type {any} */ part) => part.type === "text").text };
}

/**
 * @param {string} root
 * @param {Call} call
 * @param {boolean} hasKey
 */
export function javascriptProgram(root, { path, fields, clip, calibration }, hasKey) {
  const { stream: _, stream_options: __, ...request } = fields;
  const headers = [
    ...(hasKey ? ["authorization: `Bearer ${process.env.FLAMINGO_API_KEY}`"] : []),
    ...(clip.file ? [] : ['"content-type": "application/json"']),
  ];
  const name = JSON.stringify(fileName(clip));
  const json = `JSON.stringify(${JSON.stringify(request)})`;
  const form = [
    'import { readFile } from "node:fs/promises";',
    "",
    "const body = new FormData();",
    `body.append("request", ${json});`,
    `body.append("file", new Blob([await readFile(${name})]), ${name});`,
  ];
  return [
    ...(calibration ? [`// ${notCalibrated(calibration)}`] : []),
    ...(clip.file ? form : [`const body = ${json};`]),
    `const response = await fetch(${JSON.stringify(root + path)}, {`,
    '  method: "POST",',
    ...(headers.length ? [`  headers: { ${headers.join(", ")} },`] : []),
    "  body,",
    "});",
    "if (!response.ok) throw new Error(await response.text());",
    `console.log(${resultOf(path)});`,
    "",
  ].join("\n");
}

/** @param {string} file of a calibration; in a comment, which ends with the line */
const notCalibrated = (file) =>
  `The probabilities are not calibrated: ${file.replace(/[^\x20-\x7e]/g, "?")} has temperatures to divide their logarithms by.`;

/** @param {import("../clip/clip.js").Clip} clip perhaps a part, whose name is not that of its file */
const fileName = ({ file, name }) => file?.name ?? name;

/** @param {string} path */
function resultOf(path) {
  const answer = "(await response.json())";
  if (path.endsWith("captions")) return `${answer}.caption`;
  if (path.endsWith("embeddings")) return `${answer}.data[0].shape`;
  if (path.endsWith("analyze") || path.endsWith("decisions")) return `JSON.stringify(${answer}.answers, null, 2)`;
  return `${answer}.choices[0].message.content`;
}

/** @param {string} text to put in single quotes, in which a POSIX shell expands nothing */
const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * @param {any} value of JSON
 * @returns {string} the same value in Python, which shares JSON's strings and numbers.
 */
function pythonLiteral(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonLiteral(one)}`);
  return `{${pairs.join(", ")}}`;
}
