import { parseAacConfig, serializeAdtsHeader, type AacConfig } from "../codecs/aac.ts";
import { forEachNal, startCode } from "../codecs/annex-b.ts";
import { nalType, nalTypeOf, parseAvcConfig } from "../codecs/h264.ts";
import { h265NalTypeOf, parseHvcConfig } from "../codecs/h265.ts";
import type { TsSample, TsTrack } from "./ts-track.ts";

/** Gives the pieces of one access unit as the elementary stream holds them: views, not copies. */
export type ToElementary = (sample: TsSample) => Uint8Array[];

/** Access unit delimiters that allow every kind of slice, with their start codes. */
const delimiters = {
  h264: Uint8Array.of(0, 0, 0, 1, 0x09, 0xf0),
  h265: Uint8Array.of(0, 0, 0, 1, 0x46, 0x01, 0x50),
} as const;

/** ITU-T H.265 table 7-1. */
const h265Delimiter = 35;

/**
 * How samples of a track are written. Pictures begin with a delimiter, as ISO 13818-1 §2.14.1 wants them, and key frames
 * have their parameter sets before them: a player may begin at every one.
 * @throws {ProtocolError} when the decoder configuration is none
 */
export function toElementaryOf(track: TsTrack): ToElementary {
  const { codec, decoderConfig } = track;
  if (codec === "mp3") return ({ data }) => [data];
  if (codec === "aac") return adts(parseAacConfig(decoderConfig));
  const sets =
    codec === "h264"
      ? [...parseAvcConfig(decoderConfig).sps, ...parseAvcConfig(decoderConfig).pps]
      : [...parseHvcConfig(decoderConfig).arrays].sort((a, b) => a.nalType - b.nalType).flatMap(({ nals }) => nals);
  const isDelimiter = (firstByte: number): boolean =>
    codec === "h264" ? nalTypeOf(firstByte) === nalType.aud : h265NalTypeOf(firstByte) === h265Delimiter;
  return ({ data, isSync }) => {
    const pieces: Uint8Array[] = [delimiters[codec]];
    if (isSync) for (const set of sets) pieces.push(startCode, set);
    forEachNal(data, (start, end) => {
      if (isDelimiter(data[start]!) || track.keepNal?.(data, start, end) === false) return;
      pieces.push(startCode, data.subarray(start, end));
    });
    return pieces;
  };
}

const adts =
  (config: AacConfig): ToElementary =>
  ({ data }) => [serializeAdtsHeader(config, data.length), data];
