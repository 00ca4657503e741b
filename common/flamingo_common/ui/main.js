/** The page: one clip at a time, and the views that work on it. */

import { example, here, model } from "./api.js";
import { CaptionView } from "./caption.js";
import { ChatView } from "./chat.js";
import { askWith } from "./credentials.js";
import { $, showError } from "./dom.js";
import { watch } from "./fleet.js";
import { count, size, span } from "./format.js";
import { EmbeddingView } from "./heatmap.js";
import { askForKey } from "./key.js";
import { Player } from "./player.js";

const RETRY_MS = 3000;

/** @type {File | null} */
let chosenClip = null;

/** The clip the views work on; they are only shown once there is one. */
const clip = () => /** @type {File} */ (chosenClip);

const player = new Player();
const views = [new CaptionView(clip), new ChatView(clip), new EmbeddingView(clip)];

/** @param {File} file */
function take(file) {
  chosenClip = file;
  views.forEach((view) => view.reset());
  $("song-error").hidden = true;
  $("song-name").textContent = file.name;
  $("song-size").textContent = size(file.size);
  $("drop").hidden = true;
  $("player").hidden = false;
  $("work").hidden = false;
  player.load(file);
  $("song-name").focus({ preventScroll: true });
}

/** Let a file be chosen, or dropped anywhere on the page. */
function acceptFiles() {
  const input = /** @type {HTMLInputElement} */ ($("file"));
  input.addEventListener("change", () => {
    if (input.files?.[0]) take(input.files[0]);
    input.value = ""; // so that the same file may be chosen again
  });
  $("another").addEventListener("click", () => input.click());
  const over = (/** @type {boolean} */ is) => document.body.classList.toggle("dropping", is);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => over(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
}

/** @param {string} title the clip's file name */
function offerExample(title) {
  $("example").hidden = false;
  $("example").addEventListener("click", async () => {
    try {
      take(new File([await example()], title, { type: "audio/mpeg" }));
    } catch (error) {
      showError($("song-error"), error);
    }
  });
}

/** Say which model is served, and its limits; keep asking while there is none. */
async function introduceModel() {
  try {
    const card = await model();
    const dims = card.embedding_dimensions;
    $("model").textContent = card.id;
    $("limits").textContent = [
      `up to ${span(card.max_audio_seconds)} of audio`,
      `${count(card.context_tokens)} tokens of context`,
      ...Object.entries(dims).map(([layer, width]) => `${layer} ${count(width)} dims`),
    ].join(" · ");
    $("banner").hidden = !card.random_weights;
    $("server-error").hidden = true;
  } catch (error) {
    showError($("server-error"), error);
    setTimeout(introduceModel, RETRY_MS);
  }
}

/** Show what else this server has. */
async function introduceServer() {
  try {
    const facts = await here();
    if (facts.example) offerExample(facts.example);
    if (facts.fleet) watch();
  } catch (error) {
    showError($("server-error"), error);
  }
}

askWith(askForKey);
acceptFiles();
introduceModel();
introduceServer();
