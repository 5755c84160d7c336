import { nalType, nalTypeOf, parseAvcConfig, parseSps } from "../codecs/h264.ts";
import { splitAnnexB } from "../codecs/annex-b.ts";
import type { Sample } from "../core/sample.ts";
import type { Stream } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { formatOf } from "../sdp/codec-formats.ts";

/** The tracks of a stream that WebRTC viewers can get, and why the others are withheld. */
export interface PlayableTracks {
  readonly video: readonly Track[];
  readonly audio: readonly Track[];
  readonly withheld: readonly { readonly track: Track; readonly reason: string }[];
}

/** Judges by codec and, for video, by picture order: receivers show frames in the order they arrive. */
export function playableTracksOf(stream: Stream): PlayableTracks {
  const video: Track[] = [];
  const audio: Track[] = [];
  const withheld: { track: Track; reason: string }[] = [];
  const recent = stream.recentSamples();
  for (const track of stream.description.tracks) {
    if (track.kind !== "video" && track.kind !== "audio") continue;
    const reason = withholdingReason(track, recent);
    if (reason !== undefined) withheld.push({ track, reason });
    else if (track.kind === "video") video.push(track);
    else audio.push(track);
  }
  return { video, audio, withheld };
}

/** Whether {@link playableTracksOf} can be sure already, or needs to see samples first. */
export function isOrderKnown(track: Track): boolean {
  return (track.codec !== "h264" && track.codec !== "h265") || declaredReordering(track) !== undefined;
}

function withholdingReason(track: Track, recent: readonly Sample[]): string | undefined {
  if (track.codec === "aac") return "WebRTC carries no AAC: publish an Opus track next to it";
  if (!formatOf(track.codec)) return `WebRTC carries no ${track.codec} here`;
  if (track.kind === "video" && (declaredReordering(track) ?? isReordered(track, recent))) {
    return "its B-frames would arrive out of order in WebRTC players: encode without B-frames";
  }
  return undefined;
}

/** What the sequence parameter set says; undefined when it says nothing or there is none. */
function declaredReordering(track: Track): boolean | undefined {
  if (track.codec !== "h264" || !track.decoderConfig) return undefined;
  try {
    return spsReorders(parseAvcConfig(track.decoderConfig).sps[0]);
  } catch {
    return undefined;
  }
}

function spsReorders(sps: Uint8Array | undefined): boolean | undefined {
  if (!sps) return undefined;
  const { profile, reorderFrames } = parseSps(sps);
  // Baseline has no B slices (ITU-T H.264 §A.2.1).
  if (profile === 66) return false;
  return reorderFrames === undefined ? undefined : reorderFrames > 0;
}

function isReordered(track: Track, recent: readonly Sample[]): boolean {
  let latest = Number.NEGATIVE_INFINITY;
  for (const sample of recent) {
    if (sample.trackId !== track.id) continue;
    if (sample.pts < latest) return true;
    latest = sample.pts;
    if (track.codec === "h264" && sample.isKeyframe && inBandReordering(sample) === true) return true;
  }
  return false;
}

function inBandReordering(sample: Sample): boolean | undefined {
  const sps = splitAnnexB(sample.data).find((nal) => nalTypeOf(nal[0]!) === nalType.sps);
  try {
    return spsReorders(sps);
  } catch {
    return undefined;
  }
}
