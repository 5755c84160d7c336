import { parseTraceId } from "../cluster/trace/trace-id.ts";
import type { SubtitleFormat } from "../core/track.ts";
import { isList, membersOf, uintOf, type WireJson } from "./wire-json.ts";

/** What a Hearth edge adds to its requests. */
export interface HearthRequest {
  readonly nodeId: string;
  /** Nodes that wait for this answer, from the one nearest the viewer on: an origin that finds itself here is in a circle. */
  readonly via: readonly string[];
  /** Recent media wanted right after `play`, in milliseconds. */
  readonly recentMs: number;
  /** See `link-token.ts`. */
  readonly token?: string;
  /** The trace id of the viewer's request that began the pull: for the origin's log alone. */
  readonly trace?: string;
  /** It wants pulses ({@link pulseApplication}). */
  readonly wantsPulse: boolean;
}

/**
 * What an origin says between media now and then to the edges that asked for it: its wall clock, behind everything that was
 * sent before. How long it was on its way is how long media is.
 */
export const pulseApplication = "x_hearth_pulse";
export const pulseEveryMs = 1_000;

export const serializePulse = (wallMs: number): WireJson => ({ wallMs });

/** @returns the origin's wall clock; undefined when it makes no sense */
export function parsePulse(contents: WireJson | undefined): number | undefined {
  const wallMs = membersOf(contents)?.["wallMs"];
  return typeof wallMs === "number" && Number.isFinite(wallMs) ? wallMs : undefined;
}

/** What a Hearth origin adds to a description, so that every node agrees on a stream's time and identity. */
export interface HearthDescription {
  readonly epochMs: number;
  readonly isEpochShared: boolean;
  readonly originId: string;
  /** Node ids from the first origin to the one that answers. */
  readonly path: readonly string[];
  /** Track id → language tag, which OVT itself has no room for. */
  readonly languages: Readonly<Record<string, string>>;
  /** Track id → how players list a subtitle track, for which the same holds. */
  readonly subtitles?: Readonly<Record<string, SubtitleFormat>>;
  /** How often the stream broke off since it began at its first origin. */
  readonly discontinuities: number;
  /** Stream time of the first sample anybody can have had. */
  readonly beganMs?: number;
}

const maxHops = 16;
const maxText = 256;
const maxRecentMs = 60_000;

/** @returns undefined when the peer is no Hearth node, or what it says makes no sense */
export function parseHearthRequest(value: WireJson | undefined): HearthRequest | undefined {
  const members = membersOf(value);
  const nodeId = text(members?.["nodeId"]);
  const via = textList(members?.["via"]);
  if (!members || nodeId === undefined || !via) return undefined;
  const token = text(members["token"], 1024);
  const trace = parseTraceId(members["trace"]);
  return {
    nodeId,
    via,
    recentMs: uintOf(members["recentMs"], maxRecentMs) ?? 0,
    ...(token !== undefined && { token }),
    ...(trace !== undefined && { trace }),
    wantsPulse: members["wantsPulse"] === true,
  };
}

/** Inverse of {@link parseHearthRequest}. */
export function serializeHearthRequest(request: HearthRequest): WireJson {
  const { nodeId, via, recentMs, token, trace, wantsPulse } = request;
  return { nodeId, via, recentMs, token, trace, wantsPulse };
}

/** @returns undefined when the origin is no Hearth node, or what it says makes no sense */
export function parseHearthDescription(value: WireJson | undefined): HearthDescription | undefined {
  const members = membersOf(value);
  const originId = text(members?.["originId"]);
  const path = textList(members?.["path"]);
  const epochMs = members?.["epochMs"];
  const beganMs = members?.["beganMs"];
  if (!members || originId === undefined || !path) return undefined;
  if (typeof epochMs !== "number" || !Number.isFinite(epochMs)) return undefined;
  return {
    epochMs,
    isEpochShared: members["isEpochShared"] === true,
    originId,
    path,
    languages: languagesOf(members["languages"]),
    ...(members["subtitles"] !== undefined && { subtitles: subtitlesOf(members["subtitles"]) }),
    discontinuities: uintOf(members["discontinuities"], 2 ** 31) ?? 0,
    ...(typeof beganMs === "number" && Number.isFinite(beganMs) && { beganMs }),
  };
}

/** Inverse of {@link parseHearthDescription}. */
export function serializeHearthDescription(description: HearthDescription): WireJson {
  const { subtitles, ...rest } = description;
  if (!subtitles) return rest;
  return { ...rest, subtitles: Object.fromEntries(Object.entries(subtitles).map(([id, how]) => [id, { ...how }])) };
}

function subtitlesOf(value: WireJson | undefined): Record<string, SubtitleFormat> {
  const entries = Object.entries(membersOf(value) ?? {})
    .slice(0, 64)
    .flatMap(([id, format]): [string, SubtitleFormat][] => {
      const members = membersOf(format);
      const label = text(members?.["label"]);
      if (!members || label === undefined) return [];
      const except = textList(members["exceptPlaylists"]);
      return [
        [
          id,
          {
            label,
            isDefault: members["isDefault"] === true,
            isAutoSelect: members["isAutoSelect"] === true,
            isForced: members["isForced"] === true,
            ...(except && { exceptPlaylists: except }),
          },
        ],
      ];
    });
  return Object.fromEntries(entries);
}

function languagesOf(value: WireJson | undefined): Record<string, string> {
  const entries = Object.entries(membersOf(value) ?? {})
    .slice(0, 64)
    .flatMap(([id, language]): [string, string][] =>
      typeof language === "string" ? [[id, language.slice(0, 64)]] : [],
    );
  return Object.fromEntries(entries);
}

function text(value: unknown, max: number = maxText): string | undefined {
  return typeof value === "string" && value.length <= max ? value : undefined;
}

function textList(value: WireJson | undefined): string[] | undefined {
  if (!isList(value) || value.length > maxHops) return undefined;
  const texts = value.flatMap((item) => text(item) ?? []);
  return texts.length === value.length ? texts : undefined;
}
