/** The pods behind this router, each with the work it still holds; asked each second while seen. */

import { ApiError, fleet } from "./api.js";
import { $, make, showError } from "./dom.js";
import { count, span } from "./format.js";

const INTERVAL_MS = 1000;
const MIN_SCALE_S = 30; // so that a second of work does not fill a bar
const SLOW = 1.2; // times the usual: below, it is noise

/** Show the fleet from now on. */
export function watch() {
  const section = $("fleet");
  const look = async () => {
    if (document.visibilityState === "visible" && !(await shown(section))) return;
    setTimeout(look, INTERVAL_MS);
  };
  look();
}

/**
 * @param {HTMLElement} section
 * @returns {Promise<boolean>} whether to ask again.
 */
async function shown(section) {
  try {
    show(await fleet());
    $("fleet-error").hidden = true;
  } catch (error) {
    if (error instanceof ApiError && [403, 404].includes(error.status)) {
      section.hidden = true;
      return false; // a pod serves this page, or the key may not look: there is nothing to show
    }
    showError($("fleet-error"), error);
  }
  section.hidden = false;
  return true;
}

/** @param {import("./api.js").Fleet} told */
function show(told) {
  const { endpoints } = told;
  const ready = endpoints.filter((endpoint) => endpoint.ready).length;
  const facts = [`${ready} of ${endpoints.length} ready`, waiting(told), arriving(told)];
  $("fleet-summary").textContent = facts.filter(Boolean).join(" · ");
  const scale = Math.max(MIN_SCALE_S, ...endpoints.map((endpoint) => endpoint.backlog_s));
  const sorted = endpoints.toSorted((one, other) => one.address.localeCompare(other.address));
  $("endpoints").replaceChildren(...sorted.map((endpoint) => row(endpoint, scale)));
}

/** @param {import("./api.js").Fleet} told */
function waiting({ queue, cold, holding_s }) {
  if (!queue.num) return "";
  const what = `${count(queue.num)} ${cold ? "held for a first pod" : "waiting"}`;
  return `${what} (${span(queue.audio_s)} of audio) for ${span(cold ? holding_s : queue.oldest_s)}`;
}

/** @param {import("./api.js").Fleet} told */
function arriving({ arrivals: [lately] }) {
  if (!lately?.num) return "";
  return `${count(Math.ceil(60 * lately.num))} requests, ${span(60 * lately.audio_s)} of audio a minute`;
}

/**
 * @param {import("./api.js").Endpoint} endpoint
 * @param {number} scale the seconds of a full bar
 */
function row(endpoint, scale) {
  const item = make("li", `endpoint${endpoint.ready ? " ready" : ""}`);
  const work = endpoint.backlog_s > 0 ? `${span(endpoint.backlog_s)} of work` : endpoint.ready && "idle";
  const open = endpoint.num_open && `${endpoint.num_open} open`;
  const slow = endpoint.speed >= SLOW && `${endpoint.speed.toFixed(1)} times as slow`;
  const bar = make("div", "backlog");
  const fill = make("div");
  fill.style.inlineSize = `${(100 * endpoint.backlog_s) / scale}%`;
  bar.append(fill);
  item.append(
    make("span", "address", endpoint.address.replace(/^https?:\/\//, "")),
    make("span", "state", endpoint.ready ? "ready" : endpoint.reason || "not ready"),
    bar,
    make("span", "work", [work, open, slow].filter(Boolean).join(", ")),
  );
  return item;
}
