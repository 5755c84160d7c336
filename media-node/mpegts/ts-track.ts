/** The codecs this room puts into MPEG-TS. Opus is none of them: no HLS player takes it there. */
export type TsCodec = "h264" | "h265" | "aac" | "mp3";

/** One elementary stream of a segment. */
export interface TsTrack {
  readonly codec: TsCodec;
  /** Ticks per second of the samples' times. */
  readonly timescale: number;
  /** avcC, hvcC or AudioSpecificConfig; MP3 needs none. */
  readonly decoderConfig: Uint8Array;
  /** Hz; 0 for video. */
  readonly sampleRate: number;
  /** Leaves out NAL units that a stream which repeats its parameter sets at key frames has no use for. */
  readonly keepNal?: (data: Uint8Array, start: number, end: number) => boolean;
}

/** One access unit, as a source delivers it: Annex B, a raw AAC frame, an MP3 frame. Times in ticks of the track. */
export interface TsSample {
  readonly data: Uint8Array;
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  readonly isSync: boolean;
}

export function isTsCodec(codec: string): codec is TsCodec {
  return codec === "h264" || codec === "h265" || codec === "aac" || codec === "mp3";
}

export function isVideoCodec(codec: TsCodec): boolean {
  return codec === "h264" || codec === "h265";
}

/** Below this rate MP3 is MPEG-2 audio (ISO 13818-3 §2.4.2.3). */
const lowestMpeg1Rate = 32_000;

/** stream_type of the PMT (ISO 13818-1 table 2-34). */
export function streamTypeOf({ codec, sampleRate }: TsTrack): number {
  if (codec === "h264") return 0x1b;
  if (codec === "h265") return 0x24;
  if (codec === "aac") return 0x0f;
  return sampleRate >= lowestMpeg1Rate ? 0x03 : 0x04;
}
