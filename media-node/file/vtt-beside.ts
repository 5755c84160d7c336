import { parseWebVtt, serializeCueSample, type Cue } from "../codecs/webvtt.ts";
import type { Track } from "../core/track.ts";
import type { Clip, ClipSample } from "./mp4-clip.ts";

/** Cues are given to readers so much ahead of their time: segments are then whole without waiting for them. */
const aheadMs = 1_000;

/** Where a clip's subtitles lie: `clip.vtt` beside `clip.mp4`. */
export function vttBeside(path: string): string {
  return path.replace(/\.[^./]*$/, "") + ".vtt";
}

/**
 * The clip with a subtitle track; what ends after the clip does ends with it. The file's header may say `Language: en` and
 * `Label: English`.
 * @throws {ProtocolError} when `bytes` are no WebVTT
 */
export function withSubtitles(clip: Clip, bytes: Uint8Array): Clip {
  const { headers, cues } = parseWebVtt(bytes);
  const language = headers.get("language");
  const id = Math.max(...clip.tracks.map((track) => track.id)) + 1;
  const track: Track = {
    id,
    kind: "subtitle",
    codec: "webvtt",
    name: "subtitle",
    timescale: 1_000,
    bitrate: 0,
    ...(language && { language }),
    subtitle: {
      label: headers.get("label") || language || "Subtitles",
      isDefault: false,
      isAutoSelect: true,
      isForced: false,
    },
  };
  const shown = cues.filter(({ startMs }) => startMs < clip.durationMs);
  const samples = shown.map((cue) => sampleOf(cue, id, clip.durationMs));
  return {
    ...clip,
    tracks: [...clip.tracks, track],
    // Of what is due together, cues come first.
    samples: [...samples, ...clip.samples].sort((a, b) => a.dueMs - b.dueMs),
  };
}

function sampleOf({ startMs, endMs, ...body }: Cue, trackId: number, clipMs: number): ClipSample {
  const duration = Math.round(Math.min(endMs, clipMs)) - startMs;
  const times = { pts: startMs, dts: startMs, duration, dueMs: Math.max(0, startMs - aheadMs) };
  return { trackId, ...times, isKeyframe: true, data: serializeCueSample(body) };
}
