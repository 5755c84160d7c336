// Samples that carry the time at which they were published, so that another process can tell how long they took.
import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import { avDescription, pps, sps } from "./ovt-kit.ts";

/** Unix time in microseconds by a clock that all processes of a machine share. */
export function nowMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

export const clockedDescription: StreamDescription = {
  ...avDescription,
  tracks: [{ ...avDescription.tracks[0]!, timescale: 1_000_000 }],
};

const slices = new Map<string, Uint8Array>();

/** A frame whose timestamps are the time of this call, in microseconds. */
export function clockedSample(isKeyframe: boolean, size: number): Sample {
  const known = `${isKeyframe} ${size}`;
  const nal = new Uint8Array(size).fill(0x55);
  nal[0] = isKeyframe ? 0x65 : 0x41;
  const data = slices.get(known) ?? joinAnnexB(isKeyframe ? [sps, pps, nal] : [nal]);
  slices.set(known, data);
  const pts = nowMicros();
  return { trackId: 0, pts, dts: pts, duration: 33_333, isKeyframe, data };
}

/** The value below which `share` of all delays lie, in milliseconds. */
export function percentileMs(micros: readonly number[], share: number): number {
  const sorted = micros.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN) / 1000;
}
