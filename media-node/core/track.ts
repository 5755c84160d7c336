import type { Codec, TrackKind } from "../codecs/codec.ts";

export interface VideoFormat {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Frames per second; 0 = unknown. */
  readonly framerate: number;
}

export interface AudioFormat {
  /** Hz. */
  readonly sampleRate: number;
  readonly channels: number;
}

/** How players list a subtitle track. */
export interface SubtitleFormat {
  /** As viewers read it, and as who sends cues names it. */
  readonly label: string;
  /** Shown where a viewer did not choose. */
  readonly isDefault: boolean;
  /** Players may choose it by the viewer's language. */
  readonly isAutoSelect: boolean;
  /** Shown also where a viewer wants none. */
  readonly isForced: boolean;
  /** File names of playlists that do not list it. */
  readonly exceptPlaylists?: readonly string[];
}

/** One elementary stream. Immutable: a change arrives as a new description of the stream. */
export interface Track {
  /** Unique in its stream and stable over restarts and failovers, 0…2³¹−1. */
  readonly id: number;
  readonly kind: TrackKind;
  readonly codec: Codec;
  /** The name renditions refer to (OvenMediaEngine's "variant name"); not necessarily unique. */
  readonly name: string;
  /** Ticks per second of this track's `pts`, `dts` and `duration`. */
  readonly timescale: number;
  /** Bits per second; 0 = unknown. */
  readonly bitrate: number;
  readonly video?: VideoFormat;
  readonly audio?: AudioFormat;
  /** avcC (H.264), hvcC (H.265), av1C (AV1), vpcC (VP9) or AudioSpecificConfig (AAC); absent for codecs without one, or not yet known. */
  readonly decoderConfig?: Uint8Array;
  readonly language?: string;
  /** Absent for a subtitle track of which its origin says nothing, and for all others. */
  readonly subtitle?: SubtitleFormat;
}

/** The track whose key frames decide where a decoder may begin: the first video, else the first audio, else the first. */
export function leadOf(tracks: readonly Track[]): Track | undefined {
  return tracks.find(({ kind }) => kind === "video") ?? tracks.find(({ kind }) => kind === "audio") ?? tracks[0];
}

/** A choice of tracks a player can take; names refer to {@link Track.name}, `""` = none of that kind. */
export interface Rendition {
  readonly name: string;
  readonly videoTrackName: string;
  readonly audioTrackName: string;
  /** Index among the tracks sharing the name; −1 = unset. */
  readonly videoIndexHint: number;
  readonly audioIndexHint: number;
}

export interface Playlist {
  readonly name: string;
  /** URL component without extension, unique in its stream. */
  readonly fileName: string;
  readonly webrtcAutoAbr: boolean;
  /** −1 = unset. */
  readonly hlsChunklistPathDepth: number;
  readonly enableTsPackaging: boolean;
  readonly renditions: readonly Rendition[];
}
