import {
  cleanCueText,
  isCueSettings,
  maxCueBytes,
  maxCueMs,
  serializeCueSample,
  type CueBody,
} from "../codecs/webvtt.ts";
import type { Stream } from "./stream.ts";
import { leadOf, type Track } from "./track.ts";

/** A cue that somebody wants shown; its text and settings are as {@link cueBodyOf} gave them. */
export interface LiveCue extends CueBody {
  /** From the end of the cue before; of the first from now. */
  readonly afterMs: number;
  readonly durationMs: number;
}

/** Longest text, in characters, and longest time from and of a cue. */
export const liveCueLimits = { textLength: maxCueBytes / 4, ms: maxCueMs } as const;

/** What can be shown of a text, and whether that is all that is wrong with it. */
export function cueBodyOf(text: string, settings: string): CueBody | "empty" | "bad-settings" {
  if (settings !== "" && !isCueSettings(settings)) return "bad-settings";
  const clean = cleanCueText(text);
  return clean === "" ? "empty" : { text: clean, settings };
}

/** Where live is in a stream's own time: its newest picture. Undefined before the first. */
export function newestMsOf(stream: Stream): number | undefined {
  const lead = leadOf(stream.description.tracks);
  const newest = stream.recentSamples().findLast(({ trackId }) => trackId === lead?.id);
  return lead && newest && (newest.pts * 1_000) / lead.timescale;
}

/** Puts cues one after another into a subtitle track of a stream that begins at this node. */
export function publishCues(stream: Stream, { id, timescale }: Track, cues: readonly LiveCue[], nowMs: number): void {
  const ticks = (ms: number): number => Math.round((ms * timescale) / 1_000);
  let atMs = nowMs;
  for (const { afterMs, durationMs, ...body } of cues) {
    const pts = ticks(atMs + afterMs);
    atMs += afterMs + durationMs;
    const times = { pts, dts: pts, duration: ticks(durationMs) };
    stream.publish({ trackId: id, ...times, isKeyframe: true, data: serializeCueSample(body) });
  }
}
