/**
 * The YAML of flat files: names with texts, numbers or null, and maps of these, in lines or in
 * braces. What else YAML has is refused. Pure.
 *
 * @typedef {string | number | null} Scalar
 */

const LINE = /^( *)('(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^\s'"{}[\],#&*!|>%@`-][^:]*?) *:(?: +(.*?))? *$/;
/** As YAML 1.1 has it: `1e5` is a text, of which a commit may be an example. */
const NUMBER = /^[-+]?(0|[1-9]\d*|(\d+\.\d*|\.\d+)(e[-+]\d+)?)$/i;
const BEGINS_OTHERWISE = /^[[\]{},&*!|>%@`]/;

/**
 * @param {string} text a file, which may also be JSON
 * @returns {unknown} its value.
 */
export function parseFlatYaml(text) {
  if (text.trimStart().startsWith("{")) return JSON.parse(text);
  /** @type {Map<string, Scalar | Map<string, Scalar>>} */
  const found = new Map();
  let above = "";
  text.replace(/^\uFEFF/, "").split(/\r?\n/).forEach((line, index) => {
    if (/^(---)?\s*(#.*)?$/.test(line)) return;
    const [, indent, name, value = ""] = LINE.exec(line) ?? refuse(index);
    if (!indent) {
      above = unquoted(name, index);
      found.set(above, value.startsWith("{") ? flowMap(value, index) : scalar(value, index));
      return;
    }
    const map = found.get(above) ?? new Map();
    if (!above || !(map instanceof Map)) return refuse(index);
    found.set(above, map.set(unquoted(name, index), scalar(value, index)));
  });
  return toObject(found);
}

/**
 * @param {string} text such as `{genre: 1.4, mood: 2}`
 * @param {number} index of its line
 */
function flowMap(text, index) {
  const inside = /^\{(.*)\} *(#.*)?$/.exec(text)?.[1].trim() ?? refuse(index);
  const pairs = inside ? inside.split(",") : [];
  return new Map(pairs.map((pair) => {
    const [, , name, value = ""] = LINE.exec(pair.trim()) ?? refuse(index);
    return [unquoted(name, index), scalar(value, index)];
  }));
}

/**
 * @param {string} text behind a colon
 * @param {number} index
 * @returns {Scalar}
 */
function scalar(text, index) {
  if (/^['"]/.test(text)) return unquoted(text, index);
  const plain = text.replace(/(^| +)#.*$/, "");
  if (["", "~", "null"].includes(plain)) return null;
  if (BEGINS_OTHERWISE.test(plain)) return refuse(index);
  return NUMBER.test(plain) ? Number(plain) : plain;
}

/**
 * @param {string} text perhaps in quotes
 * @param {number} index
 */
function unquoted(text, index) {
  if (/^'([^']|'')*'$/.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (!/^['"]/.test(text)) return text;
  try {
    return /** @type {string} */ (JSON.parse(text)); // other escapes than JSON's are refused
  } catch {
    return refuse(index);
  }
}

/** @param {Map<string, any>} map */
const toObject = (map) =>
  Object.fromEntries([...map].map(([name, one]) => [name, one instanceof Map ? Object.fromEntries(one) : one]));

/**
 * @param {number} index of a line
 * @returns {never}
 */
function refuse(index) {
  throw new Error(`line ${index + 1} is not “name: value”`);
}
