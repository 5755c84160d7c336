import { ByteWriter } from "../bytes/byte-writer.ts";
import { nalType, nalTypeOf, parseAvcConfig } from "../codecs/h264.ts";
import { h265NalTypeOf, parseHvcConfig } from "../codecs/h265.ts";
import type { OutputTrack } from "./cmaf-track-of.ts";

type KeepNal = (data: Uint8Array, start: number, end: number) => boolean;

/** H.265 NAL unit types (ITU-T H.265 table 7-1): parameter sets, then what MP4 has no use for. */
const hevc = { vps: 32, aud: 35, filler: 38 } as const;

/**
 * Which NAL units of an access unit belong into MP4: no delimiters and filler, and no parameter sets that the sample
 * entry already holds. Sets that differ from it are kept, so that a decoder sees the change.
 * @returns undefined for codecs without NAL units
 */
export function keepNalOf(track: OutputTrack): KeepNal | undefined {
  if (track.codec === "h264") return keepAvc(track.decoderConfig);
  if (track.codec === "h265") return keepHevc(track.decoderConfig);
  return undefined;
}

/**
 * The parameter sets of an H.264 sample entry as NAL units with 4-byte lengths, to stand before every key frame. ffmpeg reads the
 * first init segment only: without them it shows rubbish from a change of resolution or of source on. Whether the source repeats
 * them must make no difference, or two edges would write different bytes.
 */
export function syncHeadOf(track: OutputTrack): Uint8Array | undefined {
  if (track.codec !== "h264") return undefined;
  const { sps, pps } = parseAvcConfig(track.decoderConfig);
  const writer = new ByteWriter(128);
  for (const set of [...sps, ...pps]) writer.u32(set.length).bytes(set);
  return writer.finish();
}

function keepAvc(config: Uint8Array): KeepNal {
  const { sps, pps } = parseAvcConfig(config);
  const known = [...sps, ...pps];
  return (data, start, end) => {
    const type = nalTypeOf(data[start]!);
    if (type >= nalType.aud) return type > nalType.filler;
    if (type !== nalType.sps && type !== nalType.pps) return true;
    return !known.some((set) => isSame(set, data, start, end));
  };
}

function keepHevc(config: Uint8Array): KeepNal {
  const known = parseHvcConfig(config).arrays.flatMap(({ nals }) => nals);
  return (data, start, end) => {
    const type = h265NalTypeOf(data[start]!);
    if (type >= hevc.aud) return type > hevc.filler;
    return type < hevc.vps || !known.some((set) => isSame(set, data, start, end));
  };
}

function isSame(set: Uint8Array, data: Uint8Array, start: number, end: number): boolean {
  if (set.length !== end - start) return false;
  for (let i = 0; i < set.length; i++) if (set[i] !== data[start + i]) return false;
  return true;
}
