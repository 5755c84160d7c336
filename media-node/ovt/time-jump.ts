import { ProtocolError } from "../flow/errors.ts";
import type { OvtWireTrack } from "./ovt-description.ts";
import { ovtMediaType, type OvtMedia } from "./ovt-media.ts";

/** Nothing is lost by waiting until a source that went back a little is past where it was. */
const maxBackMs = 3_000;
/** More than this ahead of the time that passed is another clock, and no gap. */
const maxAheadMs = 10_000;

interface Mark {
  readonly msPerTick: number;
  dtsMs: number;
  atMs: number;
}

/**
 * Notices that an origin's clock was set, or wrapped around: what follows belongs to other times, and a new connection is
 * told them. Origins that state their epoch keep it, and are not watched.
 */
export class TimeJumpWatch {
  readonly #marks = new Map<number, Mark>();

  constructor(tracks: readonly OvtWireTrack[]) {
    for (const { id, mediaType, timebaseNum, timebaseDen } of tracks) {
      if (mediaType > ovtMediaType.audio) continue;
      this.#marks.set(id, { msPerTick: (1_000 * timebaseNum) / timebaseDen, dtsMs: Number.NaN, atMs: 0 });
    }
  }

  /** @throws {ProtocolError} `OVT_TIME_JUMP` */
  check({ trackId, dts }: OvtMedia, nowMs: number): void {
    const mark = this.#marks.get(trackId);
    if (!mark) return;
    const dtsMs = dts * mark.msPerTick;
    const stepMs = dtsMs - mark.dtsMs;
    const passedMs = nowMs - mark.atMs;
    mark.dtsMs = dtsMs;
    mark.atMs = nowMs;
    if (stepMs < -maxBackMs || stepMs - passedMs > maxAheadMs) {
      throw new ProtocolError("OVT_TIME_JUMP", `the origin's time jumped by ${Math.round(stepMs)} ms`);
    }
  }
}
