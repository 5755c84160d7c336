import { cueBodyOf, liveCueLimits, newestMsOf, publishCues, type LiveCue } from "../../core/live-cues.ts";
import type { Stream } from "../../core/stream.ts";
import type { Track } from "../../core/track.ts";
import { bad, notThere, objectOf, parseJson, RestError } from "./envelope.ts";

/** Cues for one track, by its label. */
interface AskedTrack {
  readonly label: string;
  readonly cues: readonly LiveCue[];
}

const maxTracks = 64;
const maxCues = 256;
const unstatedMs = 1_000;

/**
 * Reads `{"format":"webvtt","data":[{"label":…,"subtitles":[{"startOffset":…,"durationMs":…,"settings":…,"text":…}]}]}`.
 * @throws {RestError} 400 that says what is wrong with it
 */
export function parseSendSubtitles(text: string): readonly AskedTrack[] {
  const body = objectOf(parseJson(text));
  if (body?.["format"] !== "webvtt") throw bad('"format" must be "webvtt"');
  return listOf(body["data"], "data", maxTracks).map((value) => {
    const entry = objectOf(value);
    const label = entry?.["label"];
    if (!entry || typeof label !== "string" || label === "") throw bad('"label" must name a subtitle track');
    return { label, cues: listOf(entry["subtitles"], "subtitles", maxCues).map(parseCue) };
  });
}

/**
 * Puts cues into a stream, the first of each track at the newest picture; all of them or none.
 * @throws {RestError} 404 for a label that the stream has no track of, 409 for a stream without media
 */
export function sendSubtitles(stream: Stream, asked: readonly AskedTrack[]): void {
  const found = asked.map(({ label, cues }) => ({ track: trackOf(stream, label), cues }));
  const nowMs = newestMsOf(stream);
  if (nowMs === undefined) throw new RestError(409, `The stream has no media yet: [${stream.name.stream}]`);
  for (const { track, cues } of found) publishCues(stream, track, cues, nowMs);
}

function parseCue(value: unknown): LiveCue {
  const cue = objectOf(value);
  const text = cue?.["text"];
  if (!cue || typeof text !== "string" || text.length > liveCueLimits.textLength)
    throw bad(`"text" must be a text of at most ${liveCueLimits.textLength} characters`);
  const settings = cue["settings"] ?? "";
  const body = typeof settings === "string" ? cueBodyOf(text, settings) : "bad-settings";
  if (body === "empty") throw bad('"text" must not be empty');
  if (body === "bad-settings") throw bad('"settings" must be WebVTT cue settings: "line:80% align:center"');
  const afterMs = millisecondsOf(cue, "startOffset", 0, 0);
  return { ...body, afterMs, durationMs: millisecondsOf(cue, "durationMs", unstatedMs, 1) };
}

function millisecondsOf(cue: Record<string, unknown>, key: string, fallback: number, least: number): number {
  const value = cue[key] ?? fallback;
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > liveCueLimits.ms)
    throw bad(`"${key}" must be whole milliseconds from ${least} to ${liveCueLimits.ms}`);
  return value;
}

function listOf(value: unknown, key: string, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > most)
    throw bad(`"${key}" must be a list of 1 to ${most}`);
  return value;
}

function trackOf({ description, name }: Stream, label: string): Track {
  const [origin] = description.path;
  // Other edges would show nothing of it, and this one something else.
  if (origin !== undefined) throw bad(`${name.app}/${name.stream} begins at node ${origin}: send subtitles there`);
  const found = description.tracks.find(({ kind, subtitle }) => kind === "subtitle" && subtitle?.label === label);
  if (!found) throw notThere("subtitle track", label);
  return found;
}
