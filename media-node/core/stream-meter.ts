import type { Clock } from "../time/clock.ts";
import type { Sample } from "./sample.ts";
import type { StreamReader } from "./stream.ts";
import type { Track } from "./track.ts";

/** What a track's samples were like lately, and since the stream began. */
export interface TrackMeasure {
  readonly track: Track;
  readonly samples: number;
  readonly bytes: number;
  /** Bits and samples a second, over the last whole second. */
  readonly bitrate: number;
  readonly framerate: number;
  /** Samples since the last key frame, and how many the last whole group of pictures had. */
  readonly sinceKeyframe: number;
  readonly groupLength: number;
  /** When the last key frame came; undefined before the first. */
  readonly lastKeyframeMs: number | undefined;
  readonly hasBframes: boolean;
  /** Of the newest sample, in ticks of the track. */
  readonly lastDts: number | undefined;
  readonly lastPts: number | undefined;
  /** Times that the decoding time went back or stood still. */
  readonly backwards: number;
}

interface Meter {
  track: Track;
  samples: number;
  bytes: number;
  secondSamples: number;
  secondBytes: number;
  bitrate: number;
  framerate: number;
  sinceKeyframe: number;
  groupLength: number;
  lastKeyframeMs: number | undefined;
  hasBframes: boolean;
  lastDts: number | undefined;
  lastPts: number | undefined;
  backwards: number;
}

/** Reads one stream and counts: a few additions a sample, nothing kept. */
export class StreamMeter implements StreamReader {
  readonly #clock: Clock;
  readonly #meters = new Map<number, Meter>();
  #discontinuities = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Times the stream's description came with a jump in time. */
  get discontinuities(): number {
    return this.#discontinuities;
  }

  get tracks(): readonly TrackMeasure[] {
    return [...this.#meters.values()].toSorted((a, b) => a.track.id - b.track.id);
  }

  onSample(sample: Sample, track: Track): void {
    let meter = this.#meters.get(track.id);
    if (!meter) this.#meters.set(track.id, (meter = newMeter(track)));
    meter.track = track;
    meter.samples++;
    meter.secondSamples++;
    meter.bytes += sample.data.length;
    meter.secondBytes += sample.data.length;
    if (track.kind === "video" && sample.isKeyframe) {
      if (meter.lastKeyframeMs !== undefined) meter.groupLength = meter.sinceKeyframe + 1;
      meter.sinceKeyframe = 0;
      meter.lastKeyframeMs = this.#clock.nowMs();
    } else meter.sinceKeyframe++;
    // Cues may come in any order of their times.
    if (track.kind === "subtitle") return;
    if (sample.pts !== sample.dts) meter.hasBframes = true;
    if (meter.lastDts !== undefined && sample.dts <= meter.lastDts) meter.backwards++;
    meter.lastDts = sample.dts;
    meter.lastPts = sample.pts;
  }

  onDescription(_description: unknown, isDiscontinuity: boolean): void {
    if (!isDiscontinuity) return;
    this.#discontinuities++;
    for (const meter of this.#meters.values()) meter.lastDts = undefined;
  }

  onEnd(): void {}

  /** Closes the second that is measured; to be called about once a second. */
  tick(elapsedMs: number): void {
    for (const meter of this.#meters.values()) {
      meter.bitrate = Math.round((meter.secondBytes * 8_000) / elapsedMs);
      meter.framerate = Math.round((meter.secondSamples * 100_000) / elapsedMs) / 100;
      meter.secondBytes = meter.secondSamples = 0;
    }
  }
}

function newMeter(track: Track): Meter {
  return {
    track,
    samples: 0,
    bytes: 0,
    secondSamples: 0,
    secondBytes: 0,
    bitrate: 0,
    framerate: 0,
    sinceKeyframe: 0,
    groupLength: 0,
    lastKeyframeMs: undefined,
    hasBframes: false,
    lastDts: undefined,
    lastPts: undefined,
    backwards: 0,
  };
}
