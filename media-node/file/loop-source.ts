import { hearthEpochMs } from "../core/epoch.ts";
import type { OpenSource, Source, SourceSink } from "../core/source.ts";
import { NoSuchStream } from "../core/source.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, TransportError } from "../flow/errors.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { parseMp4Clip, type Clip, type ClipSample } from "./mp4-clip.ts";
import { vttBeside, withSubtitles } from "./vtt-beside.ts";

export interface LoopSourceOptions {
  readonly clock: Clock;
  /** Reads a whole local file; rejects with an error whose `code` is ENOENT when there is none. */
  readonly readFile: (path: string) => Promise<Uint8Array<ArrayBuffer>>;
}

/** Media that was due before the source was opened and is delivered at once, so that readers start without waiting. */
const backlogMs = 4_000;
/** Samples due within this time of each other leave together: fewer wake-ups, no visible jitter. */
const coalesceMs = 8;

/** The clock for intervals stands still while a machine sleeps; the wall clock does not. */
const toleratedSleepMs = 1_000;
/** Further behind than this, samples are left out instead of being delivered in one burst. */
const toleratedLateMs = 5_000;

const offsetOf = (clock: Clock): number => clock.wallMs() - hearthEpochMs - clock.nowMs();

/**
 * Plays an MP4 file (`file:///path/clip.mp4`), with the subtitles of a `clip.vtt` beside it, as if it had begun at {@link hearthEpochMs} and repeated ever since, at
 * wall-clock pace. Which picture is shown at a given time is therefore the same on every node and after every restart,
 * and timestamps never jump back at the loop.
 */
export function openLoopSource({ clock, readFile }: LoopSourceOptions): OpenSource {
  return async (url) => {
    const path = decodeURIComponent(new URL(url).pathname);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      if ((cause as { code?: unknown }).code === "ENOENT") throw new NoSuchStream(`there is no file ${path}`);
      throw new TransportError("FILE_UNREADABLE", `cannot read ${path}: ${messageOf(cause)}`, { cause });
    }
    return new LoopSource(await subtitled(parseMp4Clip(bytes), vttBeside(path), readFile), path, clock);
  };
}

async function subtitled(clip: Clip, path: string, readFile: LoopSourceOptions["readFile"]): Promise<Clip> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ENOENT") return clip;
    throw new TransportError("FILE_UNREADABLE", `cannot read ${path}: ${messageOf(cause)}`, { cause });
  }
  return withSubtitles(clip, bytes);
}

class LoopSource implements Source {
  readonly description: StreamDescription;
  readonly #clip: Clip;
  readonly #clock: Clock;
  /** Add to the clock's `nowMs` for milliseconds since the epoch. */
  #offsetMs: number;
  readonly #timescales: Map<number, number>;
  #sink: SourceSink | undefined;
  #timer: Timer | undefined;
  /** Where the next sample stands. */
  #loop = 0;
  #index = 0;

  constructor(clip: Clip, path: string, clock: Clock) {
    this.#clip = clip;
    this.#clock = clock;
    this.#offsetMs = offsetOf(clock);
    this.#timescales = new Map(clip.tracks.map((track) => [track.id, track.timescale]));
    this.description = {
      tracks: clip.tracks,
      playlists: [],
      epochMs: hearthEpochMs,
      isEpochShared: true,
      originId: `file:${path.split("/").at(-1)}`,
      path: [],
    };
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.#seek(this.#elapsedMs() - backlogMs);
    this.#deliverShown();
    this.#deliverDue();
  }

  async close(_reason: CloseReason): Promise<void> {
    this.#timer?.cancel();
    this.#sink = undefined;
  }

  #elapsedMs(): number {
    return this.#clock.nowMs() + this.#offsetMs;
  }

  /** To the last place at or before `elapsedMs` where decoding can start. */
  #seek(elapsedMs: number): void {
    const { samples, durationMs, tracks } = this.#clip;
    this.#loop = Math.floor(elapsedMs / durationMs);
    const withinMs = elapsedMs - this.#loop * durationMs;
    const video = tracks.find((track) => track.kind === "video")?.id;
    const start = samples.findLastIndex(
      ({ trackId, isKeyframe, dueMs }) => dueMs <= withinMs && isKeyframe && (video === undefined || trackId === video),
    );
    this.#index = Math.max(0, start);
  }

  /** Cues that were due before the place where the clip is entered, and are still shown there. */
  #deliverShown(): void {
    const { samples, tracks } = this.#clip;
    const cues = tracks.find(({ kind }) => kind === "subtitle");
    if (!cues) return;
    const { dueMs } = samples[this.#index]!;
    for (const sample of samples.slice(0, this.#index)) {
      const isShown = sample.trackId === cues.id && ((sample.pts + sample.duration) * 1_000) / cues.timescale > dueMs;
      if (isShown) this.#sink?.onSample(this.#stamp(sample));
    }
  }

  /** After a sleep of the machine: what was due meanwhile is not delivered, and the picture is the one due now. */
  #catchUp(): void {
    const sleptMs = offsetOf(this.#clock) - this.#offsetMs;
    // A wall clock that was set back must not take timestamps back with it.
    if (sleptMs > toleratedSleepMs) this.#offsetMs += sleptMs;
    const lateMs = this.#elapsedMs() - this.#dueMs(this.#clip.samples[this.#index]!);
    if (lateMs > toleratedLateMs) this.#seek(this.#elapsedMs());
  }

  #deliverDue(): void {
    this.#catchUp();
    const untilMs = this.#elapsedMs() + coalesceMs;
    let next = this.#clip.samples[this.#index]!;
    while (this.#dueMs(next) <= untilMs) {
      this.#sink?.onSample(this.#stamp(next));
      if (!this.#sink) return;
      if (++this.#index === this.#clip.samples.length) {
        this.#index = 0;
        this.#loop++;
      }
      next = this.#clip.samples[this.#index]!;
    }
    this.#timer = this.#clock.after(Math.max(1, this.#dueMs(next) - this.#elapsedMs()), () => this.#deliverDue());
  }

  #dueMs(sample: ClipSample): number {
    return this.#loop * this.#clip.durationMs + sample.dueMs;
  }

  #stamp({ trackId, pts, dts, duration, isKeyframe, data }: ClipSample) {
    const loopTicks = Math.round((this.#loop * this.#clip.durationMs * this.#timescales.get(trackId)!) / 1000);
    return { trackId, pts: loopTicks + pts, dts: loopTicks + dts, duration, isKeyframe, data };
  }
}
