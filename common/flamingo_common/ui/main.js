/** The page: the current clip, and the panels that work on it. */

import { fetchExample, fetchFeatures, fetchModel } from "./server/api.js";
import { BatchesView } from "./batches/batches_view.js";
import { CaptionView } from "./panels/caption_view.js";
import { ChatView } from "./panels/chat_view.js";
import { connectionEvents } from "./server/connection.js";
import { enterKey, keyEvents, setKeyPrompt } from "./server/credentials.js";
import { $, showError } from "./shared/dom.js";
import { EmbeddingView } from "./panels/embedding_view.js";
import { startFleetView } from "./panels/fleet_view.js";
import { formatCount, formatDuration, formatSize } from "./shared/format.js";
import { openKeyDialog } from "./panels/key_dialog.js";
import { Player } from "./clip/player.js";
import { setRemedy } from "./shared/remedies.js";

const RETRY_INTERVAL_MS = 3000;

/** @type {File | null} */
let currentClip = null;

/** The clip that the panels work on; they stay hidden until there is one. */
const clip = () => /** @type {File} */ (currentClip);

const player = new Player();
/** @type {BatchesView | null} null: this server has no service of batches */
let batches = null;
let hasFeatures = false;
let modelTimer = 0;
const views = [new CaptionView(clip), new ChatView(clip), new EmbeddingView(clip)];

/** @param {File} file */
function loadClip(file) {
  currentClip = file;
  views.forEach((view) => view.reset());
  $("clip-error").hidden = true;
  $("clip-name").textContent = file.name;
  $("clip-size").textContent = formatSize(file.size);
  $("drop").hidden = true;
  $("player").hidden = false;
  $("panels").hidden = false;
  player.load(file);
  $("clip-name").focus({ preventScroll: true });
}

/** Accept files from the file picker, and files dropped anywhere on the page. */
function acceptFiles() {
  const input = /** @type {HTMLInputElement} */ ($("file"));
  input.addEventListener("change", () => {
    if (input.files?.[0]) loadClip(input.files[0]);
    input.value = ""; // so that choosing the same file again is a change
  });
  $("choose-another").addEventListener("click", () => input.click());
  const setDropping = (/** @type {boolean} */ isOver) =>
    document.body.classList.toggle("dropping", isOver);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    setDropping(true);
  });
  document.addEventListener("dragleave", (event) => setDropping(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    setDropping(false);
    const file = event.dataTransfer?.files[0];
    if (file && batches?.isShown && isRequests(file)) batches.upload(file);
    else if (file) loadClip(file);
  });
}

/** @param {File} file */
const isRequests = (file) => file.name.toLowerCase().endsWith(".jsonl");

/** @param {string} name the file name of the example clip */
function offerExample(name) {
  $("example").hidden = false;
  $("example").addEventListener("click", async () => {
    try {
      loadClip(new File([await fetchExample()], name, { type: "audio/mpeg" }));
    } catch (error) {
      showError($("clip-error"), error);
    }
  });
}

/** Show the model and its limits; retries until a model is served. */
async function showModel() {
  clearTimeout(modelTimer);
  try {
    const card = await fetchModel();
    const layers = Object.entries(card.embedding_dimensions);
    $("model").textContent = card.id;
    $("limits").textContent = [
      `audio up to ${formatDuration(card.max_audio_seconds)}`,
      `context ${formatCount(card.context_tokens)} tokens`,
      ...layers.map(([layer, width]) => `${layer} ${formatCount(width)} dimensions`),
    ].join(" · ");
    $("banner").hidden = !card.random_weights;
    $("server-error").hidden = true;
  } catch (error) {
    showError($("server-error"), error);
    modelTimer = setTimeout(showModel, RETRY_INTERVAL_MS);
  }
}

/** Show what this server has beside a model: an example clip, a fleet, batches. */
async function showFeatures() {
  try {
    const features = await fetchFeatures();
    if (features.example) offerExample(features.example);
    if (features.fleet) startFleetView();
    if (features.batches) startBatchesView();
    hasFeatures = true;
  } catch (error) {
    showError($("server-error"), error);
  }
}

function startBatchesView() {
  batches = new BatchesView();
  batches.start();
}

/** Show what is known again: after an interruption, or with another key. */
function refresh() {
  showModel();
  if (hasFeatures) batches?.start();
  else showFeatures();
}

/** Say that the server is gone while it is, and offer to enter a key when it requires one. */
function watchServer() {
  connectionEvents.addEventListener("lost", () => {
    document.body.classList.add("offline");
    showError($("server-error"), "Cannot reach the server. This page tries again by itself.");
  });
  connectionEvents.addEventListener("restored", () => {
    document.body.classList.remove("offline");
    refresh();
  });
  keyEvents.addEventListener("required", () => ($("key-button").hidden = false));
  keyEvents.addEventListener("entered", () => {
    $("key-button").textContent = "Change API key";
    refresh();
  });
  $("key-button").addEventListener("click", enterKey);
  setRemedy("invalid_api_key", { label: () => "Enter an API key", act: enterKey });
}

setKeyPrompt(openKeyDialog);
watchServer();
acceptFiles();
showModel();
showFeatures();
