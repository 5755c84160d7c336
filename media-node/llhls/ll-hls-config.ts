import type { HoldLimits } from "./held-requests.ts";

/** Settings of the publisher. Every node of a cluster must have the same `partMs` and `segmentMs`. */
export interface LlHlsConfig {
  /** Length of a part (OvenMediaEngine: `ChunkDuration`); a whole number of frames may be 5 % longer. */
  readonly partMs: number;
  /** Length of the numbering grid; segments are this long where key frames allow it (`SegmentDuration`). */
  readonly segmentMs: number;
  /** Whole segments in a playlist (`SegmentCount`); raised so that three target durations fit. */
  readonly segmentCount: number;
  /** Raised to three parts (`PartHoldBack`). */
  readonly partHoldBackMs?: number;
  /** `EnablePreloadHint`, default true. */
  readonly hasPreloadHint?: boolean;
  /** Whole segments only, where a request does not say (`DefaultQueryString`). */
  readonly isLegacyByDefault?: boolean;
  /** How much older than the live window is kept for `_HLS_rewind`, and whether it is listed where a request does not say. */
  readonly rewind?: RewindConfig;
  /**
   * HLS version 3: MPEG-TS segments with sound and picture in one in place of all this room offers else; parts and what
   * is said of them are left out. `isPlainTaken`: `playlist.m3u8` without `ts:` is this publisher's, too.
   */
  readonly mpegTs?: { readonly isPlainTaken: boolean };
  /** Offers `llhls.m3u8` and `master.m3u8` also where the origin names other playlists (`CreateDefaultPlaylist`). */
  readonly hasDefaultPlaylist?: boolean;
  /** What is said of caching in place of what fits most (`CacheControl`). */
  readonly maxAge?: MaxAges;
  readonly holdLimits?: Partial<HoldLimits>;
  /** A viewer's token is good for this long; default 12 h. */
  readonly sessionTtlMs?: number;
}

/** What is older than the live window, kept on disk (`DVR`). */
export interface RewindConfig {
  /** `TempStoragePath`: this node writes and removes files in a folder of its own there. */
  readonly folder: string;
  /** `MaxDuration`. */
  readonly windowMs: number;
  /** Default 20 GiB. */
  readonly maxBytes?: number;
  readonly isDefault: boolean;
}

/** Seconds by kind of answer; 0 means `no-cache, no-store`, -1 no header, absent what Hearth says itself. */
export interface MaxAges {
  readonly masterPlaylist?: number;
  readonly chunklist?: number;
  readonly chunklistWithDirectives?: number;
  readonly segment?: number;
  readonly part?: number;
}
