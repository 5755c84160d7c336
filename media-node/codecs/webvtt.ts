import { ProtocolError } from "../flow/errors.ts";

/** What is shown of one cue. */
export interface CueBody {
  /** Position and the like, `line:80% align:center`; `""` for none (WebVTT §4.4). */
  readonly settings: string;
  /** Lines with WebVTT's markup, none of them empty. */
  readonly text: string;
}

/** One cue with its times. */
export interface Cue extends CueBody {
  readonly startMs: number;
  readonly endMs: number;
}

/** A file as it is written by people and captioning tools. */
export interface WebVttFile {
  /** `Kind`, `Language` and the like, in lower case, as their header lines say them. */
  readonly headers: ReadonlyMap<string, string>;
  /** Ascending by start. */
  readonly cues: readonly Cue[];
}

/** Longest cue shown; a screen full of text has fewer than a tenth of it. */
export const maxCueBytes = 16 * 1024;
/** Longest time a cue is shown. Who joins meanwhile must be told of it, so it is remembered for as long. */
export const maxCueMs = 3_600_000;
const maxSettings = 256;
const maxFileBytes = 8 * 1024 * 1024;
const maxFileCues = 100_000;

const arrow = "-->";
/** What a file says while nothing is shown: `LOCAL` and the media's own clock begin together (RFC 8216 §3.5). */
const header = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
/** Media time is told modulo 2³³ ticks of 90 kHz, 26.5 hours (RFC 8216 §3.5). */
const wrapMs = 2 ** 33 / 90;

/** A list of settings without line breaks: `name:value` pairs (WebVTT §4.4). */
export function isCueSettings(text: string): boolean {
  return text.length <= maxSettings && /^[a-z]+:[^\s>]+(?:[ \t]+[a-z]+:[^\s>]+)*$/.test(text);
}

/**
 * Cue text that can stand in a file: one kind of line break, no empty lines, which would end the cue, and no arrow, which
 * would begin another. `""` when nothing is left.
 */
export function cleanCueText(text: string): string {
  return text
    .replaceAll("\ufeff", "")
    .replaceAll("\0", "\ufffd")
    .replaceAll(/\r\n?/g, "\n")
    .replaceAll(arrow, "--&gt;")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .join("\n");
}

/**
 * A cue as a sample of a subtitle track holds it: its text alone, or a cue block where it has settings. Its times are those of the
 * sample.
 */
export function serializeCueSample({ settings, text }: CueBody): Uint8Array {
  return Buffer.from(settings === "" ? text : `00:00:00.000 ${arrow} 00:00:00.000 ${settings}\n${text}`);
}

/**
 * Inverse of {@link serializeCueSample}; takes every cue block, whose own times and identifier do not count.
 * @returns undefined for a sample without text, or with more than {@link maxCueBytes}
 */
export function parseCueSample(data: Uint8Array): CueBody | undefined {
  if (data.length > maxCueBytes) return undefined;
  const lines = linesOf(data);
  const timing = lines.findIndex((line) => line.includes(arrow));
  const block = timing < 0 ? lines : lines.slice(timing + 1);
  const end = timing < 0 ? -1 : block.findIndex((line) => line === "");
  const text = cleanCueText((end < 0 ? block : block.slice(0, end)).join("\n"));
  if (text === "") return undefined;
  return { text, settings: timing < 0 ? "" : settingsIn(lines[timing]!) };
}

/**
 * Reads a whole file (WebVTT §4.1). Notes, styles, regions and identifiers are left out, as are cues that have no text or end
 * before they begin.
 * @throws {ProtocolError} when it is no WebVTT, or larger than a subtitle file is
 */
export function parseWebVtt(bytes: Uint8Array): WebVttFile {
  if (bytes.length > maxFileBytes) throw new ProtocolError("VTT_TOO_LARGE", "the subtitle file is larger than 8 MiB");
  const lines = linesOf(bytes);
  if (!/^WEBVTT(?:[ \t]|$)/.test(lines[0] ?? ""))
    throw new ProtocolError("VTT_SIGNATURE", "no WEBVTT in its first line");
  const headers = new Map<string, string>();
  const cues: Cue[] = [];
  let at = 1;
  for (; at < lines.length && lines[at] !== "" && !lines[at]!.includes(arrow); at++) {
    const [, name, value] = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(lines[at]!) ?? [];
    if (name !== undefined && headers.size < 64) headers.set(name.toLowerCase(), value!.trim().slice(0, maxSettings));
  }
  while (at < lines.length) {
    const line = lines[at++]!;
    const times = line.includes(arrow) ? parseTiming(line) : undefined;
    if (!times) continue;
    const from = at;
    while (at < lines.length && lines[at] !== "" && !lines[at]!.includes(arrow)) at++;
    const text = cleanCueText(lines.slice(from, at).join("\n"));
    if (text === "" || text.length > maxCueBytes / 4 || times.endMs <= times.startMs) continue;
    if (cues.length >= maxFileCues) throw new ProtocolError("VTT_TOO_MANY", `more than ${maxFileCues} cues`);
    cues.push({ ...times, text, settings: settingsIn(line) });
  }
  return { headers, cues: cues.sort((a, b) => a.startMs - b.startMs) };
}

/**
 * A segment or part of a subtitle playlist: its cues with their whole times, of which they may say more than the segment holds
 * (RFC 8216 §3.5).
 * @param cues media time in milliseconds
 * @param startMs media time at which the segment begins
 */
export function serializeCues(cues: readonly Cue[], startMs: number): Uint8Array {
  if (cues.length === 0) return nothingShown;
  // Cues that began before the clock came round are told by the round they began in, as in the segments before.
  const round = Math.floor(Math.min(startMs, ...cues.map((cue) => cue.startMs)) / wrapMs);
  const zeroMs = Math.max(0, round) * wrapMs;
  const blocks = cues.map(({ startMs: from, endMs, settings, text }) => {
    const times = `${timestamp(from - zeroMs)} ${arrow} ${timestamp(endMs - zeroMs)}`;
    return `${times}${settings && ` ${settings}`}\n${text}\n`;
  });
  return Buffer.from(`${header}\n${blocks.join("\n")}`);
}

const nothingShown: Uint8Array = Buffer.from(`${header}\n`);

function linesOf(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  return text.replaceAll("\0", "\ufffd").replaceAll(/\r\n?/g, "\n").split("\n");
}

function settingsIn(timing: string): string {
  const settings = timing
    .slice(timing.indexOf(arrow) + arrow.length)
    .trim()
    .replace(/^[\d:.]+/, "")
    .trim();
  return isCueSettings(settings) ? settings : "";
}

function parseTiming(line: string): { startMs: number; endMs: number } | undefined {
  const at = line.indexOf(arrow);
  const startMs = parseTimestamp(line.slice(0, at).trim());
  const endMs = parseTimestamp(
    line
      .slice(at + arrow.length)
      .trim()
      .split(/[ \t]/, 1)[0]!,
  );
  return startMs === undefined || endMs === undefined ? undefined : { startMs, endMs };
}

/** `[h…h:]mm:ss.ttt` */
function parseTimestamp(text: string): number | undefined {
  const match = /^(?:(\d{2,6}):)?([0-5]\d):([0-5]\d)\.(\d{3})$/.exec(text);
  if (!match) return undefined;
  const [hours = 0, minutes = 0, seconds = 0, ms = 0] = match.slice(1).map((digits) => Number(digits ?? 0));
  return ((hours * 60 + minutes) * 60 + seconds) * 1_000 + ms;
}

function timestamp(timeMs: number): string {
  const ms = Math.max(0, Math.round(timeMs));
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const clock = `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1_000) % 60)}`;
  return `${clock}.${String(ms % 1_000).padStart(3, "0")}`;
}
