import type { SeenPlaylist, SeenSegment } from "./playlist-reader.ts";

/** A segment as a player knows it, whether a full list told it or an older list and a delta. */
export interface KnownSegment {
  readonly msn: number;
  readonly uri: string | undefined;
  readonly seconds: number;
  readonly dateMs: number | undefined;
  readonly isGap: boolean;
  /** What applies to it, whichever segment the tag stands before. */
  readonly mapUri: string | undefined;
  /** Discontinuity sequence number, reckoned from the list's first. */
  readonly discontinuity: number;
}

/** What a full list tells of its segments. */
export const knownOf = ({ segments, discontinuitySequence }: SeenPlaylist): KnownSegment[] =>
  known(segments, discontinuitySequence, undefined);

/**
 * A player's segments when it applies a delta update to the list that it has (RFC 8216bis §6.2.5.1).
 * @returns undefined when the older list lacks a segment that the delta leaves out: the player has to ask for all
 */
export function applyDelta(older: SeenPlaylist, delta: SeenPlaylist): KnownSegment[] | undefined {
  const { mediaSequence, skipped, segments, discontinuitySequence } = delta;
  const kept = knownOf(older).filter(
    ({ msn, uri }) => uri !== undefined && msn >= mediaSequence && msn < mediaSequence + skipped,
  );
  if (kept.length !== skipped) return undefined;
  const last = kept.at(-1);
  return [...kept, ...known(segments, last?.discontinuity ?? discontinuitySequence, last?.mapUri)];
}

function known(segments: readonly SeenSegment[], discontinuityBefore: number, mapBefore: string | undefined) {
  let discontinuity = discontinuityBefore;
  return segments.map(({ msn, uri, seconds, dateMs, isGap, mapUri, discontinuities }): KnownSegment => {
    discontinuity += discontinuities;
    return { msn, uri, seconds, dateMs, isGap, mapUri: mapUri ?? mapBefore, discontinuity };
  });
}
