import { silenceOf, type Silence } from "../codecs/silence.ts";
import type { Sample } from "../core/sample.ts";
import { isCmafTrack, type OutputTrack } from "./cmaf-track-of.ts";
import { ticksToMs } from "./segment-grid.ts";

/** Sound that lies this much behind the pictures does not come. Senders interleave far closer. */
const patienceMs = 800;
/** Sound that always comes later than that is waited for, up to this long. */
const maxPatienceMs = 10_000;
/** Pictures further apart than this leave out time in which nothing is to be heard, either. */
const leapMs = 2_000;
/** No codec has longer frames: what is missing between two of them is a hole. */
const maxFrameMs = 500;

/** Asked for every sample. */
const none: readonly Sample[] = [];

/** @returns undefined where it is not known how the track's silence is written */
export function fillerOf(trackId: number, track: OutputTrack): SilenceFiller | undefined {
  if (!isCmafTrack(track) || track.kind !== "audio") return undefined;
  const silence = silenceOf(track.codec, track.decoderConfig, track.channels);
  // On a clock so coarse two frames would have one time.
  const isTimed = silence && silence.samples * track.timescale >= silence.sampleRate;
  return isTimed ? new SilenceFiller(trackId, track.timescale, silence) : undefined;
}

/**
 * Makes silent frames for a follower whose sound stops, begins late or never comes: browsers show no picture where there is no
 * sound, though both are files of their own. Frames stand on a grid that depends on time alone, so that all edges make the same.
 */
export class SilenceFiller {
  readonly #trackId: number;
  readonly #timescale: number;
  readonly #silence: Silence;
  readonly #frameTicks: number;
  #patienceMs = patienceMs;
  #knownMs = Number.NEGATIVE_INFINITY;
  /** Nothing is filled before. */
  #floorMs = Number.NEGATIVE_INFINITY;
  #filledUntil = Number.NEGATIVE_INFINITY;

  constructor(trackId: number, timescale: number, silence: Silence) {
    this.#trackId = trackId;
    this.#timescale = timescale;
    this.#silence = silence;
    this.#frameTicks = (silence.samples * timescale) / silence.sampleRate;
  }

  /**
   * The leading track has come to `knownMs`.
   * @param lastDts of the last sample, `-Infinity` before the first
   * @param newestMs when the newest segment begins; undefined before the first
   */
  advance(knownMs: number, lastDts: number, newestMs: number | undefined): readonly Sample[] {
    if (newestMs === undefined) return none;
    if (knownMs - this.#knownMs > leapMs) this.#floorMs = lastDts === -Infinity ? newestMs : knownMs;
    this.#knownMs = knownMs;
    const untilDts = ((knownMs - this.#patienceMs) * this.#timescale) / 1000;
    if (untilDts <= lastDts) return none;
    const frames = this.#between(lastDts, untilDts);
    this.#filledUntil = frames.at(-1)?.dts ?? this.#filledUntil;
    return frames;
  }

  /** What is missing before a sample that comes after a hole: the rest of it, or all of one too short to be waited out. */
  before(dts: number, lastDts: number): readonly Sample[] {
    const holeMs = ((dts - lastDts) * 1000) / this.#timescale;
    // Where more is missing the pictures stopped, too, and come again after the sound.
    if (holeMs <= maxFrameMs || holeMs > this.#patienceMs + leapMs) return none;
    return this.#between(lastDts, dts - this.#frameTicks);
  }

  /** A sample came whose place was filled: from now on sound is waited for longer. */
  late(dts: number): void {
    if (dts > this.#filledUntil) return;
    const latenessMs = this.#knownMs - ticksToMs(dts, this.#timescale);
    this.#patienceMs = Math.min(maxPatienceMs, Math.max(this.#patienceMs, latenessMs + patienceMs));
  }

  #between(lastDts: number, untilDts: number): Sample[] {
    const floorTicks = (this.#floorMs * this.#timescale) / 1000;
    const first = Math.max(Math.floor(lastDts / this.#frameTicks) + 1, Math.ceil(floorTicks / this.#frameTicks));
    const frames: Sample[] = [];
    for (let number = first; ; number++) {
      const dts = Math.round(number * this.#frameTicks);
      if (dts > untilDts) return frames;
      if (dts <= lastDts) continue;
      const { data } = this.#silence;
      frames.push({
        trackId: this.#trackId,
        pts: dts,
        dts,
        duration: Math.round(this.#frameTicks),
        isKeyframe: true,
        data,
      });
    }
  }
}
