// What both players share: counting and reading frames, and showing the figures of one panel.
import { clip, createFrameReader, glassToGlassMs } from "./frame-counter.js";

/** One player's figures, also for whoever looks in from outside (`window.hearth`). */
export class Viewing {
  /** Unix ms of the click, or of the move that is going on. */
  startedMs = Date.now();
  firstPictureMs = undefined;
  frames = 0;
  /** Frame numbers in the order shown, the last 2,000. */
  numbers = [];
  outOfOrder = 0;
  latencyMs = undefined;
  node = undefined;
  reason = "";
  moves = 0;
  stalls = 0;
  #panel;
  #read = createFrameReader();
  #video;
  #samples = [];

  /** @param {HTMLElement} panel gets its figures from the page's template */
  constructor(panel) {
    panel.append(document.querySelector("#figures").content.cloneNode(true));
    this.#panel = panel;
  }

  /** Begins to watch a video element; a former one is forgotten. */
  watch(video) {
    this.#video = video;
    const onFrame = (_now, { expectedDisplayTime }) => {
      if (this.#video !== video) return;
      this.#onFrame(video, performance.timeOrigin + expectedDisplayTime);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    video.addEventListener("waiting", () => {
      if (this.#video === video && this.frames > 0) this.stalls++;
    });
  }

  /** A new attempt begins: the clock of the first picture starts again. */
  restart() {
    this.startedMs = Date.now();
    this.firstPictureMs = undefined;
  }

  servedBy(node, reason) {
    if (this.node !== undefined && node !== undefined && node !== this.node) this.moves++;
    if (node !== undefined) this.node = node;
    this.reason = reason ?? "";
    this.show();
  }

  show() {
    const latency = this.latencyMs;
    this.#fill("latency", latency === undefined ? "–" : `${Math.round(latency)} ms`);
    this.#fill("node", this.node ?? "–");
    this.#fill("first", this.firstPictureMs === undefined ? "–" : `${Math.round(this.firstPictureMs)} ms`);
    this.#fill("frames", String(this.frames));
    this.#fill("moves", String(this.moves));
    this.#fill("reason", this.reason);
  }

  #onFrame(video, shownMs) {
    this.frames++;
    this.firstPictureMs ??= Math.max(0, shownMs - this.startedMs);
    const number = this.#read(video);
    if (number === undefined) return;
    const last = this.numbers.at(-1);
    // Forward by less than half the loop is onward; anything else went back.
    if (last !== undefined && (number - last + clip.frames) % clip.frames > clip.frames / 2) this.outOfOrder++;
    this.numbers.push(number);
    if (this.numbers.length > 2_000) this.numbers.shift();
    this.#samples.push(glassToGlassMs(number, shownMs));
    if (this.#samples.length > 25) this.#samples.shift();
    this.latencyMs = this.#samples.toSorted((a, b) => a - b)[this.#samples.length >> 1];
  }

  #fill(name, text) {
    const element = this.#panel.querySelector(`[data-figure="${name}"]`);
    if (element.textContent !== text) element.textContent = text;
  }
}
