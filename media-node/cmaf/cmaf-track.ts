/** The codecs this room can put into fragmented MP4. */
export type CmafCodec = "h264" | "h265" | "av1" | "vp9" | "aac" | "opus";

/** What an init segment says about its only track. */
export interface CmafTrack {
  readonly kind: "video" | "audio";
  readonly codec: CmafCodec;
  /** Ticks per second of every time in the fragments. */
  readonly timescale: number;
  /** avcC, hvcC, av1C, vpcC (without the full box's first four bytes) or AudioSpecificConfig. Opus needs none. */
  readonly decoderConfig: Uint8Array;
  /** Pixels; 0 for audio. */
  readonly width: number;
  readonly height: number;
  /** Hz; 0 for video. */
  readonly sampleRate: number;
  readonly channels: number;
}

/** The id of the only track in every file: audio and video come as files of their own. */
export const onlyTrackId = 1;

const codecs: ReadonlySet<string> = new Set<CmafCodec>(["h264", "h265", "av1", "vp9", "aac", "opus"]);

export function isCmafCodec(codec: string): codec is CmafCodec {
  return codecs.has(codec);
}
