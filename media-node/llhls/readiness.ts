import type { Directives } from "./directives.ts";
import type { TrackOutput } from "./track-output.ts";

/** Whether a playlist request can be answered now, after some waiting, or never. */
export type Readiness = "now" | "later" | "never";

/** A request may name parts at most this far ahead. */
const maxAheadMs = 3_000;

/** RFC 8216bis §6.2.5.2. */
export function readinessOf(track: TrackOutput, { msn, part }: Directives): Readiness {
  if (msn === undefined || track.isEnded) return "now";
  const lastComplete = track.lastCompleteMsn;
  if (lastComplete === undefined) return "later";
  if (msn > lastComplete + 2) return "never";
  if (part === undefined) return msn <= lastComplete ? "now" : "later";
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
