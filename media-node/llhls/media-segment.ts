import type { FragmentSample } from "../cmaf/fragment.ts";
import type { OutputTrack } from "./cmaf-track-of.ts";
import type { PreparedFile } from "./reply.ts";

/** One part: its bytes are shared by every answer and never change. */
export interface Part {
  readonly uri: string;
  /** For MPEG-TS, which is written segment by segment, the samples' bytes one after another. */
  readonly file: PreparedFile;
  /** Kept for MPEG-TS only. */
  readonly samples?: readonly FragmentSample[];
  readonly durationMs: number;
  /** Decoding can start with its first sample. */
  readonly isIndependent: boolean;
}

/** One segment of one track, growing while it is open. Its bytes are those of its parts, one after another. */
export interface MediaSegment {
  readonly msn: number;
  readonly uri: string;
  /** As in its names: the stream's key, marked where the segment is not canonical. */
  readonly key: string;
  /** Stream time of its first sample; of its nominal start when it has none. */
  startMs: number;
  /** Sum of its samples; for a segment without media the time it stands for. */
  durationMs: number;
  /** What its samples are. */
  readonly track: OutputTrack;
  readonly initUri: string;
  /** Breaks between the segment before and this one: decoders start anew. More than one where some passed unseen. */
  readonly discontinuities: number;
  /** False when it was joined in its middle: its names carry a mark, since other edges know a longer one. */
  readonly isCanonical: boolean;
  readonly parts: Part[];
  isComplete: boolean;
}

/** A segment in which the source sent nothing. */
export function isGap(segment: Pick<MediaSegment, "isComplete" | "parts">): boolean {
  return segment.isComplete && segment.parts.length === 0;
}

export function segmentSize(segment: MediaSegment): number {
  return segment.parts.reduce((sum, part) => sum + part.file.size, 0);
}
