/** The fleet panel: the pods behind this router and their load, polled while the page is visible. */

import { fetchFleet } from "../server/api.js";
import { ApiError } from "../server/http.js";
import { connectionEvents } from "../server/connection.js";
import { $, createElement, showError } from "../shared/dom.js";
import { formatCount, formatDuration } from "../shared/format.js";

const POLL_INTERVAL_MS = 1000;
const MIN_SCALE_S = 30; // a full bar is at least this much work, so that a second stays small
const MIN_SLOWDOWN_SHOWN = 1.2; // below, it is measurement noise

/** Start to show the fleet, and keep it up to date. */
export function startFleetView() {
  const section = $("fleet");
  connectionEvents.addEventListener("lost", showUnknown);
  const poll = async () => {
    if (document.visibilityState === "visible" && !(await refresh(section))) return;
    setTimeout(poll, POLL_INTERVAL_MS);
  };
  poll();
}

/**
 * @param {HTMLElement} section
 * @returns {Promise<boolean>} whether to poll again.
 */
async function refresh(section) {
  try {
    render(await fetchFleet());
    $("fleet-error").hidden = true;
  } catch (error) {
    if (error instanceof ApiError && [403, 404].includes(error.status)) {
      section.hidden = true;
      return false; // a pod serves this page, or the key lacks permission
    }
    const isGone = error instanceof ApiError && !error.status; // which the header says already
    if (isGone) $("fleet-error").hidden = true;
    else showError($("fleet-error"), error);
    showUnknown();
  }
  section.hidden = false;
  return true;
}

/** Claim nothing about the pods, of which there is no news. */
function showUnknown() {
  $("fleet-summary").textContent = $("endpoints").childElementCount ? "state unknown" : "";
  for (const row of $("endpoints").children) {
    row.classList.remove("ready");
    row.classList.add("unknown");
    for (const state of row.querySelectorAll(".state")) state.textContent = "unknown";
    for (const load of row.querySelectorAll(".load")) load.textContent = "";
  }
}

/** @param {import("../server/api.js").Fleet} fleet */
function render(fleet) {
  const { endpoints } = fleet;
  const numReady = endpoints.filter((endpoint) => endpoint.ready).length;
  const summary = [
    podSummary(numReady, endpoints.length),
    queueSummary(fleet),
    arrivalSummary(fleet),
    cacheSummary(fleet),
  ];
  $("fleet-summary").textContent = summary.filter(Boolean).join(" · ");
  const scale = Math.max(MIN_SCALE_S, ...endpoints.map((endpoint) => endpoint.backlog_s));
  const sorted = endpoints.toSorted((one, other) => one.address.localeCompare(other.address));
  $("endpoints").replaceChildren(...sorted.map((endpoint) => createRow(endpoint, scale)));
}

/**
 * @param {number} numReady
 * @param {number} total
 */
function podSummary(numReady, total) {
  if (!total) return "no pods registered";
  return `${numReady} of ${total} ${total === 1 ? "pod" : "pods"} ready`;
}

/** @param {import("../server/api.js").Fleet} fleet */
function queueSummary({ queue, cold, holding_s }) {
  if (!queue.num) return "";
  const requests = `${formatCount(queue.num)} ${cold ? "held until a pod is ready" : "queued"}`;
  const oldest = formatDuration(cold ? holding_s : queue.oldest_s);
  return `${requests} (${formatDuration(queue.audio_s)} of audio, oldest ${oldest})`;
}

/** @param {import("../server/api.js").Fleet} fleet */
function arrivalSummary({ arrivals: [recent] }) {
  if (!recent?.num) return "";
  // A router that has just started does not know a minute's arrivals yet.
  const seconds = Math.min(recent.covered_s ?? 60, 60);
  const requests = formatCount(Math.ceil(seconds * recent.num));
  const span = seconds < 60 ? `in ${formatDuration(seconds)}` : "per minute";
  return `${requests} requests and ${formatDuration(seconds * recent.audio_s)} of audio ${span}`;
}

/**
 * Returns how many windows all pods had cached of those they were asked for.
 * @param {import("../server/api.js").Fleet} fleet
 */
function cacheSummary({ endpoints }) {
  const caches = endpoints.flatMap(({ load }) => load?.caches?.embeddings ?? []);
  const queries = caches.reduce((sum, cache) => sum + cache.queries, 0);
  if (!queries) return "";
  const hits = caches.reduce((sum, cache) => sum + cache.hits, 0);
  return `${Math.round((100 * hits) / queries)}% of windows cached`;
}

/**
 * @param {import("../server/api.js").Endpoint} endpoint
 * @param {number} scale the seconds of a full bar
 */
function createRow(endpoint, scale) {
  const row = createElement("li", `endpoint${endpoint.ready ? " ready" : ""}`);
  const idle = endpoint.ready && !endpoint.num_open && "idle";
  const backlog = endpoint.backlog_s > 0 ? `${formatDuration(endpoint.backlog_s)} of work` : idle;
  const inFlight = endpoint.num_open && `${endpoint.num_open} in flight`;
  const cached = endpoint.num_clips ? `${formatCount(endpoint.num_clips)} ${endpoint.num_clips === 1 ? "clip" : "clips"} cached` : "";
  const slowdown = endpoint.speed >= MIN_SLOWDOWN_SHOWN && `slowdown ${endpoint.speed.toFixed(1)}x`;
  const bar = createElement("div", "backlog");
  const fill = createElement("div");
  fill.style.inlineSize = `${(100 * endpoint.backlog_s) / scale}%`;
  bar.append(fill);
  row.append(
    createElement("span", "address", endpoint.address.replace(/^https?:\/\//, "")),
    createElement("span", "state", endpoint.ready ? "ready" : endpoint.reason || "not ready"),
    bar,
    createElement("span", "load", [backlog, inFlight, slowdown, cached].filter(Boolean).join(", ")),
  );
  return row;
}
