/**
 * One access unit of one track. Published once, shared by every reader: nobody changes it or its bytes afterwards.
 *
 * | codec | `data` |
 * |---|---|
 * | h264, h265 | one access unit, Annex B; parameter sets may be missing before a key frame (then they are in the track's `decoderConfig`) |
 * | aac | one raw frame (no ADTS header) |
 * | opus | one packet |
 * | vp8, vp9, av1, mp3, data | one frame / OBU sequence / frame / message |
 * | webvtt | one cue (`codecs/webvtt.ts`), shown from `pts` for `duration`; it may come ahead of its time |
 */
export interface Sample {
  readonly trackId: number;
  /** Presentation time in ticks of the track, counted from the stream's epoch. A safe integer, may be negative. */
  readonly pts: number;
  /** Decoding time, same unit; strictly increasing within a track, except across a discontinuity. */
  readonly dts: number;
  /** Ticks until the next sample as the source states it; 0 = unknown. A hint: recompute it from `dts` where it matters. */
  readonly duration: number;
  /** Video: decoding can start here. Audio and data: always true. */
  readonly isKeyframe: boolean;
  readonly data: Uint8Array;
}
