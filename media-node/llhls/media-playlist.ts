import { isGap, type MediaSegment } from "./media-segment.ts";
import type { RewindSegment } from "./rewind-window.ts";
import type { TrackOutput } from "./track-output.ts";

export interface MediaPlaylistOptions {
  readonly targetSeconds: number;
  readonly partHoldBackMs: number;
  /** Unix time of stream time 0. */
  readonly epochMs: number;
  /** Other tracks of the same type, for rendition reports. */
  readonly siblings: readonly TrackOutput[];
  readonly hasPreloadHint: boolean;
  /** Whole segments only, for players without low latency. */
  readonly isLegacy: boolean;
  /** The client has a recent copy and asks for the changes only. */
  readonly isDelta: boolean;
  /** Lists what can be rewound to before the live window. */
  readonly isRewind?: boolean;
  /** Leaves out what the list would begin with as gaps. */
  readonly isGapless?: boolean;
}

/** A delta leaves out what is older than this many target durations (RFC 8216bis §4.4.3.8: at least six). */
const skipTargets = 6;
/**
 * Whole segments that are listed with their parts: with the open one as many as lie within three target durations, six
 * cells, of the end, beyond which parts are to go (RFC 8216bis §4.4.4.9). OvenMediaEngine lists three. A viewer who falls
 * behind them changes over to whole segments in the middle of one, where hls.js leaves out a rest of up to 0.25 s and
 * stalls at the hole. A count and not a time: hls.js forgets which parts it has when a list of parts begins earlier than
 * the one before, so all edges must begin it at the same segment.
 */
const segmentsWithParts = 5;

const seconds = (ms: number): string => (ms / 1000).toFixed(6);

/** The media playlist of a track (RFC 8216bis §4.4). Same segments, same options: same text. */
export function mediaPlaylist(track: TrackOutput, options: MediaPlaylistOptions): string {
  const { isLegacy, targetSeconds } = options;
  const live = track.segments;
  const older = options.isRewind && live[0] ? (track.rewind?.before(live[0].msn) ?? []) : [];
  const all: readonly ListedSegment[] = older.length > 0 ? [...older.map(listedOf), ...live] : live;
  const firstWithMedia = options.isGapless ? all.findIndex((segment) => !isListedAsGap(segment)) : 0;
  const segments = firstWithMedia > 0 ? all.slice(firstWithMedia) : all;
  const passed = all.slice(0, all.length - segments.length);
  const discontinuitySequence = track.discontinuitySequence - breaksIn(older) + breaksIn(passed);
  const lastWhole = track.lastListedMsn ?? -1;
  const isWhole = ({ isComplete, msn }: ListedSegment): boolean => isComplete && (isLegacy || msn <= lastWhole);
  const listed = isLegacy ? segments.filter(isWhole) : segments;
  const skipped = options.isDelta && !isLegacy ? skippable(listed, targetSeconds) : 0;
  const lines = [
    "#EXTM3U",
    `#EXT-X-VERSION:${isLegacy ? 6 : 9}`,
    `#EXT-X-TARGETDURATION:${targetSeconds}`,
    ...(isLegacy ? [] : serverControl(track, options)),
    `#EXT-X-MEDIA-SEQUENCE:${segments[0]?.msn ?? 0}`,
  ];
  if (discontinuitySequence > 0) lines.push(`#EXT-X-DISCONTINUITY-SEQUENCE:${discontinuitySequence}`);
  if (skipped > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`);
  const wholes = listed.filter(isWhole);
  const firstWithParts = wholes.at(-segmentsWithParts)?.msn ?? 0;
  let initUri = skipped > 0 ? listed[skipped - 1]!.initUri : undefined;
  for (const segment of listed.slice(skipped)) {
    // hls.js takes what stands here for its own segment before it, as long as that is listed by its parts alone.
    if (!segment.isComplete && segment.parts.length === 0) break;
    for (let count = 0; count < segment.discontinuities; count++) lines.push("#EXT-X-DISCONTINUITY");
    if (segment.initUri !== initUri && segment.initUri !== "") lines.push(`#EXT-X-MAP:URI="${segment.initUri}"`);
    initUri = segment.initUri;
    const isWithParts = !isLegacy && segment.msn >= firstWithParts;
    appendSegment(lines, segment, options.epochMs, isWithParts, isWhole(segment));
  }
  if (!isLegacy && !track.isEnded) lines.push(...whatComesNext(track, options));
  if (track.isEnded) lines.push("#EXT-X-ENDLIST");
  return `${lines.join("\n")}\n`;
}

function serverControl(track: TrackOutput, { targetSeconds, partHoldBackMs }: MediaPlaylistOptions): string[] {
  const canSkip = `CAN-SKIP-UNTIL=${(skipTargets * targetSeconds).toFixed(1)}`;
  return [
    `#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,${canSkip},PART-HOLD-BACK=${seconds(partHoldBackMs)}`,
    `#EXT-X-PART-INF:PART-TARGET=${seconds(track.partTargetMs)}`,
  ];
}

/** How many segments from the start lie before the skip boundary. */
function skippable(segments: readonly ListedSegment[], targetSeconds: number): number {
  let keptMs = 0;
  for (let index = segments.length - 1; index >= 0; index--) {
    if (keptMs >= skipTargets * targetSeconds * 1000) return index + 1;
    keptMs += segments[index]!.durationMs;
  }
  return 0;
}

/** What is listed of a segment. */
type ListedSegment = Pick<
  MediaSegment,
  "msn" | "uri" | "initUri" | "startMs" | "durationMs" | "discontinuities" | "parts" | "isComplete"
> & { readonly isGap?: boolean };

/** A segment that is still being made has media, or will have. */
const isListedAsGap = (segment: ListedSegment): boolean => segment.isComplete && (segment.isGap ?? isGap(segment));

const breaksIn = (segments: readonly Pick<ListedSegment, "discontinuities">[]): number =>
  segments.reduce((sum, { discontinuities }) => sum + discontinuities, 0);

const noParts: MediaSegment["parts"] = [];

const listedOf = (segment: RewindSegment): ListedSegment => ({
  ...segment,
  parts: noParts,
  isComplete: true,
  isGap: segment.file === undefined,
});

function appendSegment(
  lines: string[],
  segment: ListedSegment,
  epochMs: number,
  hasParts: boolean,
  isWhole: boolean,
): void {
  const { parts, startMs } = segment;
  lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(Math.round(epochMs + startMs)).toISOString()}`);
  if (hasParts) {
    for (const { uri, durationMs, isIndependent } of parts) {
      lines.push(`#EXT-X-PART:DURATION=${seconds(durationMs)},URI="${uri}"${isIndependent ? ",INDEPENDENT=YES" : ""}`);
    }
  }
  if (!isWhole) return;
  if (segment.isGap ?? isGap(segment)) lines.push("#EXT-X-GAP");
  lines.push(`#EXTINF:${seconds(segment.durationMs)},`, segment.uri);
}

function whatComesNext(track: TrackOutput, { hasPreloadHint, siblings }: MediaPlaylistOptions): string[] {
  const hint = hasPreloadHint ? track.nextPartUri() : undefined;
  const lines = hint === undefined ? [] : [`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${hint}"`];
  for (const sibling of siblings) {
    const last = sibling.segments.findLast(({ isComplete, parts }) => isComplete || parts.length > 0);
    if (!last) continue;
    const part = last.parts.length > 0 ? `,LAST-PART=${last.parts.length - 1}` : "";
    lines.push(`#EXT-X-RENDITION-REPORT:URI="${sibling.playlistUri}",LAST-MSN=${last.msn}${part}`);
  }
  return lines;
}
