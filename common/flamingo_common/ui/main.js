/** The page: the current clip, and the panels that work on it. */

import { BatchesView } from "./batches/batches_view.js";
import { Clip, fileClip } from "./clip/clip.js";
import { acceptClips } from "./clip/inputs.js";
import { Player } from "./clip/player.js";
import { offerRecording } from "./clip/recorder.js";
import { CompareView } from "./compare/compare_view.js";
import { FilesView } from "./files/files_view.js";
import { HistoryView } from "./history/history_view.js";
import { CaptionView, promptName, readOptions } from "./panels/caption_view.js";
import { ChatView } from "./panels/chat_view.js";
import { EmbeddingView } from "./panels/embedding_view.js";
import { startFleetView } from "./panels/fleet_view.js";
import { RecipesView } from "./panels/recipes_view.js";
import { ServerView } from "./panels/server_view.js";
import { offerThinking } from "./panels/thinking.js";
import { fetchExample } from "./server/api.js";
import { TOO_LONG } from "./server/http.js";
import { $, showError } from "./shared/dom.js";
import { formatSize, spellDuration } from "./shared/format.js";
import { setRemedy } from "./shared/remedies.js";
import { TagsView } from "./tags/tags_view.js";

/** @type {Clip | null} */
let currentClip = null;
/** @type {BatchesView | null} null: this server has no service of batches */
let batches = null;

const player = new Player({ onLength: setLength, onPart: showLength });

/** The clip, or the part of it, that the panels work on; they stay hidden until there is one. */
const clip = () => player.part ?? /** @type {Clip} */ (currentClip);

const history = new HistoryView();
const compare = new CompareView(clip, {
  readOptions,
  onText: (heard, options, text) => history.add(heard, "caption", promptName(options), text),
});
const recipes = new RecipesView(clip, player);
const tags = new TagsView(clip);
const views = [
  new CaptionView(clip, (heard, prompt, text) => history.add(heard, "caption", prompt, text)),
  new ChatView(clip, (heard, question, text) => history.add(heard, "question", question, text)),
  recipes,
  tags,
  new EmbeddingView(clip, player),
  compare,
];
const files = new FilesView({
  onOpen: loadClip,
  onCompare: (second) => compare.open(second),
  readOptions,
  onDone: ({ clip, result }, options) => history.add(clip, "caption", promptName(options), result.caption ?? ""),
});

/** @param {Clip} loaded */
function loadClip(loaded) {
  currentClip = loaded;
  views.forEach((view) => view.reset());
  for (const id of ["clip-error", "drop", "link-form"]) $(id).hidden = true;
  for (const id of ["player", "panels", "compare"]) $(id).hidden = false;
  $("clip-name").textContent = loaded.name;
  $("clip-size").textContent = loaded.file ? formatSize(loaded.file.size) : loaded.url;
  showLength();
  player.load(loaded);
  $("clip-name").focus({ preventScroll: true });
}

/** @param {number} lengthS by the clip's own header */
function setLength(lengthS) {
  if (currentClip) currentClip.durationS = lengthS;
  showLength();
}

/** Say at once when the clip is longer than what the model hears, before anything is sent. */
function showLength() {
  if (!currentClip) return;
  const { isTooLong, truncate, refusal } = clip();
  $("length-note").hidden = !isTooLong && !truncate;
  $("length-text").textContent = refusal || `Only the first ${spellDuration(Clip.limitS)} are used.`;
  $("hear-beginning").textContent = hearBeginningLabel();
  $("hear-beginning").hidden = truncate;
}

function hearBeginning() {
  clip().truncate = true;
  showLength();
}

const hearBeginningLabel = () => (Clip.limitS ? `Hear the first ${spellDuration(Clip.limitS)}` : "Hear the beginning");

/** @param {Clip[]} clips the first one is opened; several are listed, too */
function receiveClips(clips) {
  if (clips.length > 1 || files.isShown) files.add(clips);
  loadClip(clips[0]);
}

/** Accept clips, and files of requests where there is a service of batches. */
function acceptInputs() {
  acceptClips({
    onClips: receiveClips,
    takeFile: (file) => {
      const isTaken = batches?.isShown === true && isRequests(file);
      if (isTaken) batches?.upload(file);
      return isTaken;
    },
  });
  $("hear-beginning").addEventListener("click", hearBeginning);
  setRemedy(TOO_LONG, { label: hearBeginningLabel, act: hearBeginning });
}

/** @param {File} file */
const isRequests = (file) => file.name.toLowerCase().endsWith(".jsonl");

/** @param {string} name the file name of the example clip */
function offerExample(name) {
  $("example").hidden = false;
  $("example").addEventListener("click", async () => {
    try {
      loadClip(fileClip(new File([await fetchExample()], name, { type: "audio/mpeg" })));
    } catch (error) {
      showError($("clip-error"), error);
    }
  });
}

/** @param {import("./server/api.js").ModelCard} card */
function onModel(card) {
  Clip.limitS = card.max_audio_seconds;
  history.model = card.id;
  recipes.load();
  tags.calibration.card = card;
  offerThinking(card);
  showLength();
}

/** @param {import("./server/api.js").Features} features */
function onFeatures(features) {
  if (features.example) offerExample(features.example);
  if (features.fleet) startFleetView();
  if (features.batches) batches = new BatchesView();
  batches?.start();
}

acceptInputs();
offerRecording((recorded) => receiveClips([recorded]));
new ServerView({ onModel, onFeatures, onRefresh: () => batches?.start() }).start();
