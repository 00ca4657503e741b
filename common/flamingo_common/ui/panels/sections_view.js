/** Sections and lines of a song: drawn along the time line, followed by playback, and clickable. */

import { createElement } from "../shared/dom.js";
import { formatClock } from "../shared/format.js";
import { spansOf } from "./section_spans.js";

/**
 * @typedef {import("./section_spans.js").Section} Section
 * @typedef {import("./section_spans.js").Span} Span
 * @typedef {import("../clip/clip.js").Clip} Clip
 */

export class SectionsView {
  /** What is marked while its time plays. @type {{element: HTMLElement, span: Span}[]} */
  #timed = [];

  /**
   * @param {HTMLElement} element
   * @param {import("../clip/player.js").Player} player
   */
  constructor(element, player) {
    this.element = element;
    this.player = player;
    player.onTime((timeS) => this.#follow(timeS));
  }

  reset() {
    this.#timed = [];
    this.element.replaceChildren();
  }

  /**
   * @param {Section[]} sections
   * @param {string[]} faults
   * @param {Clip} clip
   */
  show(sections, faults, clip) {
    this.reset();
    const spans = spansOf(sections, clip.stopS);
    const stopS = clip.stopS || Math.max(0, ...spans.map((span) => span?.endS ?? 0));
    const whole = { startS: clip.startS, endS: stopS };
    const strip = createElement("div", "section-strip");
    const list = createElement("ol", "section-list");
    sections.forEach((section, index) => {
      const span = spans[index];
      if (span) strip.append(this.#bar(section, span, whole));
      list.append(this.#entry(section, span, clip));
    });
    this.element.replaceChildren(...(strip.childElementCount ? [strip] : []), list);
    if (faults.length) this.element.append(faultList(faults));
  }

  /**
   * @param {Section} section
   * @param {Span} span
   * @param {Span} whole what the strip shows
   */
  #bar(section, span, whole) {
    const widthS = whole.endS - whole.startS;
    const bar = this.#seekButton("section-bar", section.name ?? "Lyrics", span);
    bar.style.insetInlineStart = `${(100 * (span.startS - whole.startS)) / widthS}%`;
    bar.style.inlineSize = `${(100 * (span.endS - span.startS)) / widthS}%`;
    bar.title = `${section.name ?? "Lyrics"} ${formatClock(span.startS)}–${formatClock(span.endS)}`;
    return bar;
  }

  /**
   * @param {Section} section
   * @param {Span | null} span
   * @param {Clip} clip
   */
  #entry(section, span, clip) {
    const entry = createElement("li");
    if (section.name) entry.append(this.#text("h3", section.name, span));
    if (section.description) entry.append(createElement("p", "note", section.description));
    const spans = spansOf(section.lines, span?.endS ?? clip.stopS);
    section.lines.forEach((line, index) => entry.append(this.#text("p", line.text, spans[index])));
    return entry;
  }

  /**
   * @param {string} tag
   * @param {string} text
   * @param {Span | null} span
   */
  #text(tag, text, span) {
    const element = createElement(tag, "", span ? "" : text);
    if (span) element.append(this.#seekButton("quiet", `${formatClock(span.startS)} ${text}`, span));
    return element;
  }

  /**
   * @param {string} className
   * @param {string} text
   * @param {Span} span a click plays from its start
   */
  #seekButton(className, text, span) {
    const button = /** @type {HTMLButtonElement} */ (createElement("button", className, text));
    button.type = "button";
    button.addEventListener("click", () => this.player.seek(span.startS));
    this.#timed.push({ element: button, span });
    return button;
  }

  /** @param {number} timeS the playback position */
  #follow(timeS) {
    for (const { element, span } of this.#timed) {
      const isNow = timeS >= span.startS && timeS < span.endS;
      if (isNow) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    }
  }
}

/** @param {string[]} faults */
function faultList(faults) {
  const details = createElement("details", "note");
  details.append(createElement("summary", "", `${faults.length} doubtful ${faults.length > 1 ? "times" : "time"}`));
  const list = createElement("ul");
  list.append(...faults.map((fault) => createElement("li", "", fault)));
  details.append(list);
  return details;
}
