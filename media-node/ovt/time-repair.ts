import type { OvtWireTrack } from "./ovt-description.ts";
import { ovtMediaType, type OvtMedia } from "./ovt-media.ts";

/** So many frames a tick apart, which came at no more than twice their pace, are no burst but a clock that was set back. */
const stuckFrames = 30;
const leastPace = 0.5;
/** Time bases in which a tick is longer may have frames a tick apart. */
const maxTickMs = 1;
/** Steps out of these bounds are no frame rate. */
const stepMs = { min: 2, max: 400 };
/** Sound whose rate nobody has seen yet. */
const packetMs = 20;
/** Frames may be missing: what is placed by their number is then placed by arrival again. */
const maxDriftMs = 500;

interface Progress {
  readonly msPerTick: number;
  /** From one frame to the next, in ticks. */
  step: number;
  lastDts: number;
  lastAtMs: number;
  /** Frames a tick apart so far, since when, and how far they have come, repaired, since then. */
  stuck: number;
  isRepaired: boolean;
  sinceMs: number;
  passed: number;
  /** Ticks added to what comes. */
  shift: number;
}

/**
 * Lets time go on where an origin's stands still. An OvenMediaEngine origin whose source set its clock back (WHIP, when the
 * first sender report comes) sends frame after frame one tick apart, until the source has caught up; players would stand
 * still for as long. Such frames are placed at the distance they had before.
 */
export class TimeRepair {
  readonly #tracks = new Map<number, Progress>();

  constructor(tracks: readonly OvtWireTrack[]) {
    for (const { id, mediaType, timebaseNum, timebaseDen, framerate } of tracks) {
      const msPerTick = (1_000 * timebaseNum) / timebaseDen;
      if (mediaType > ovtMediaType.audio || msPerTick > maxTickMs) continue;
      const usualMs = mediaType === ovtMediaType.video && framerate > 0 ? 1_000 / framerate : packetMs;
      this.#tracks.set(id, {
        msPerTick,
        step: Math.round(usualMs / msPerTick),
        lastDts: Number.NaN,
        lastAtMs: 0,
        stuck: 0,
        isRepaired: false,
        sinceMs: 0,
        passed: 0,
        shift: 0,
      });
    }
  }

  /** @returns `media` itself while there is nothing to repair */
  repair(media: OvtMedia, nowMs: number): OvtMedia {
    const track = this.#tracks.get(media.trackId);
    if (!track) return media;
    const step = media.dts - track.lastDts;
    if (step === 0 || step === 1) this.#standStill(track, step, nowMs);
    else this.#goOn(track, step, nowMs);
    track.lastDts = media.dts;
    track.lastAtMs = nowMs;
    const { shift } = track;
    return shift === 0 ? media : { ...media, pts: media.pts + shift, dts: media.dts + shift };
  }

  #standStill(track: Progress, step: number, nowMs: number): void {
    if (track.stuck++ === 0) {
      track.sinceMs = track.lastAtMs;
      track.passed = 0;
    }
    track.passed += step;
    const passedMs = nowMs - track.sinceMs;
    if (track.isRepaired) this.#add(track, track.step - step);
    else if (track.stuck < stuckFrames || passedMs < leastPace * track.stuck * track.step * track.msPerTick) return;
    const behindMs = passedMs - track.passed * track.msPerTick;
    if (!track.isRepaired || behindMs > maxDriftMs) this.#add(track, behindMs / track.msPerTick);
    track.isRepaired = true;
  }

  #goOn(track: Progress, step: number, nowMs: number): void {
    const ms = step * track.msPerTick;
    track.stuck = 0;
    track.isRepaired = false;
    if (ms >= stepMs.min && ms <= stepMs.max) track.step = step;
    // The source's clock was set right again: what was added is taken back.
    const aheadMs = ms - (nowMs - track.lastAtMs);
    if (aheadMs > maxDriftMs) track.shift -= Math.min(track.shift, Math.round(aheadMs / track.msPerTick));
  }

  #add(track: Progress, ticks: number): void {
    const whole = Math.max(0, Math.round(ticks));
    track.shift += whole;
    track.passed += whole;
  }
}
