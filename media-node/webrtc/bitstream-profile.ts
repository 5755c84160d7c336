import { av1SequenceOf } from "../codecs/av1.ts";
import { vp9KeyFrame } from "../codecs/vp9.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";

/** What decoders of VP9 and AV1 have to know before they take a stream. */
export interface BitstreamProfile {
  readonly profile: number;
  /** AV1: `seq_level_idx` and `seq_tier`. */
  readonly level: number;
  readonly tier: number;
}

/** Nearly every stream is this; AV1 level 3.1. */
const usual: BitstreamProfile = { profile: 0, level: 5, tier: 0 };

/**
 * What the newest key frame among `recent` says of a VP9 or AV1 track, which nothing else tells.
 * @returns undefined for other codecs; profile 0 until there is a key frame
 */
export function bitstreamProfileOf(track: Track, recent: readonly Sample[]): BitstreamProfile | undefined {
  if (track.codec !== "vp9" && track.codec !== "av1") return undefined;
  const keyframe = recent.findLast(({ trackId, isKeyframe }) => trackId === track.id && isKeyframe);
  if (!keyframe) return usual;
  if (track.codec === "av1") return av1SequenceOf(keyframe.data) ?? usual;
  return { ...usual, profile: vp9KeyFrame(keyframe.data)?.profile ?? 0 };
}
