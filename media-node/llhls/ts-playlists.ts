import type { Track } from "../core/track.ts";
import type { TsVariant } from "./ts-variant.ts";

export interface TsMasterOptions {
  /** Tracks of the source, for frame rates. */
  readonly tracks: readonly Track[];
  readonly streamKey: string;
  /** As {@link MasterPlaylistOptions} has them. */
  readonly childQuery: string;
  readonly childPath?: string;
}

/** The master playlist of HLS version 3 (RFC 8216 §4.3.4): audio and video of a variant are in the same files. */
export async function tsMasterPlaylist(variants: readonly TsVariant[], options: TsMasterOptions): Promise<string> {
  const { tracks, streamKey, childQuery, childPath = "" } = options;
  const lines = ["#EXTM3U", "#EXT-X-VERSION:3"];
  for (const variant of variants) {
    const { peak, average } = await variant.measureBitrate();
    const attributes = [`BANDWIDTH=${peak}`, `AVERAGE-BANDWIDTH=${average}`, `CODECS="${variant.codecs}"`];
    if (variant.video) {
      const { track, trackId } = variant.video;
      attributes.push(`RESOLUTION=${track.width}x${track.height}`);
      const framerate = tracks.find(({ id }) => id === trackId)?.video?.framerate ?? 0;
      if (framerate > 0) attributes.push(`FRAME-RATE=${framerate.toFixed(3)}`);
    }
    lines.push(`#EXT-X-STREAM-INF:${attributes.join(",")}`);
    lines.push(`${childPath}${variant.uri(streamKey)}${childQuery && `?${childQuery}`}`);
  }
  return `${lines.join("\n")}\n`;
}

/**
 * The media playlist of a variant (RFC 8216 §4.3). Same segments: same text.
 * @param epochMs Unix time of stream time 0
 */
export function tsMediaPlaylist(variant: TsVariant, targetSeconds: number, epochMs: number): string {
  const { segments, discontinuitySequence, isEnded } = variant;
  const lines = ["#EXTM3U", "#EXT-X-VERSION:3", `#EXT-X-TARGETDURATION:${targetSeconds}`];
  lines.push(`#EXT-X-MEDIA-SEQUENCE:${segments[0]?.msn ?? 0}`);
  if (discontinuitySequence > 0) lines.push(`#EXT-X-DISCONTINUITY-SEQUENCE:${discontinuitySequence}`);
  for (const { discontinuities, isGap, startMs, durationMs, uri } of segments) {
    for (let count = 0; count < discontinuities; count++) lines.push("#EXT-X-DISCONTINUITY");
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(Math.round(epochMs + startMs)).toISOString()}`);
    // Newer than version 3, where it is passed over: who asks for a gap is led to what follows.
    if (isGap) lines.push("#EXT-X-GAP");
    lines.push(`#EXTINF:${(durationMs / 1000).toFixed(6)},`, uri);
  }
  if (isEnded) lines.push("#EXT-X-ENDLIST");
  return `${lines.join("\n")}\n`;
}
