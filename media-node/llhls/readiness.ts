import type { Directives } from "./directives.ts";
import type { TrackOutput } from "./track-output.ts";

/** Whether a playlist request can be answered now, after some waiting, or never. */
export type Readiness = "now" | "later" | "never";

/** A request may name parts at most this far ahead. */
const maxAheadMs = 3_000;

/** Segments that an edge may be behind another one in its first seconds. */
const maxBehind = 20;

/**
 * RFC 8216bis §6.2.5.2.
 * @param isCatchingUp this node has only just begun to have the stream: players know more of it than it does
 */
export function readinessOf(track: TrackOutput, { msn, part }: Directives, isCatchingUp = false): Readiness {
  if (msn === undefined || track.isEnded) return "now";
  const lastComplete = track.lastCompleteMsn;
  if (lastComplete === undefined) return "later";
  if (msn > lastComplete + 2) return isCatchingUp && msn <= lastComplete + maxBehind ? "later" : "never";
  if (part === undefined) return msn <= (track.lastListedMsn ?? -1) ? "now" : "later";
  const segment = track.segmentAt(msn);
  if (msn <= lastComplete) {
    // A part after the last of a finished segment means the first of the next.
    if (!segment || part < segment.parts.length) return "now";
    return msn < lastComplete || (track.openSegment?.parts.length ?? 0) > 0 ? "now" : "later";
  }
  const present = segment?.parts.length ?? 0;
  if (part < present) return "now";
  return part - present > maxAheadMs / track.partTargetMs ? "never" : "later";
}
