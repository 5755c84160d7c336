import { BitReader } from "../bytes/bit-reader.ts";
import { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { ProtocolError } from "../flow/errors.ts";
import { removeEmulationPrevention } from "./h264.ts";

/** NAL unit types (ITU-T H.265 table 7-1) that a relay must know. */
export const h265NalType = {
  blaWLp: 16,
  idrWRadl: 19,
  idrNLp: 20,
  cra: 21,
  vps: 32,
  sps: 33,
  pps: 34,
  aud: 35,
} as const;

export function h265NalTypeOf(firstByte: number): number {
  return (firstByte >> 1) & 0x3f;
}

/** Whether a slice of this type belongs to a picture at which decoding can start (ITU-T H.265 §3.71: 16…23). */
export function isIrap(nalType: number): boolean {
  return nalType >= 16 && nalType <= 23;
}

/** NAL units of one type inside an hvcC record. */
export interface HvcArray {
  readonly nalType: number;
  readonly isComplete: boolean;
  readonly nals: readonly Uint8Array[];
}

/** HEVCDecoderConfigurationRecord (ISO 14496-15 §8.3.3.1). */
export interface HvcConfig {
  /** The 12 bytes of general profile, tier and level, as they stand in the SPS. */
  readonly profileTierLevel: Uint8Array;
  readonly minSpatialSegmentation: number;
  readonly parallelismType: number;
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  readonly averageFrameRate: number;
  /** The byte with constantFrameRate, numTemporalLayers and temporalIdNested, its last two bits cleared. */
  readonly layers: number;
  /** 1, 2 or 4 */
  readonly lengthSize: number;
  readonly arrays: readonly HvcArray[];
}

const truncated = (): Error => new ProtocolError("HVCC_TRUNCATED", "the hvcC record ends early");

/** @throws {ProtocolError} when `bytes` is no hvcC record */
export function parseHvcConfig(bytes: Uint8Array): HvcConfig {
  const reader = new ByteReader(bytes, truncated);
  if (reader.u8() !== 1) throw new ProtocolError("HVCC_VERSION", "the hvcC record has an unknown version");
  const profileTierLevel = reader.take(12);
  const minSpatialSegmentation = reader.u16() & 0x0fff;
  const parallelismType = reader.u8() & 3;
  const chromaFormat = reader.u8() & 3;
  const bitDepthLuma = (reader.u8() & 7) + 8;
  const bitDepthChroma = (reader.u8() & 7) + 8;
  const averageFrameRate = reader.u16();
  const layers = reader.u8();
  const arrays = Array.from({ length: reader.u8() }, (): HvcArray => {
    const head = reader.u8();
    const nals = Array.from({ length: reader.u16() }, () => reader.take(reader.u16()));
    return { nalType: head & 0x3f, isComplete: (head & 0x80) !== 0, nals };
  });
  return {
    profileTierLevel,
    minSpatialSegmentation,
    parallelismType,
    chromaFormat,
    bitDepthLuma,
    bitDepthChroma,
    averageFrameRate,
    layers: layers & 0xfc,
    lengthSize: (layers & 3) + 1,
    arrays,
  };
}

/** Inverse of {@link parseHvcConfig}; reserved bits are written as ones. */
export function serializeHvcConfig(config: HvcConfig): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u8(1).bytes(config.profileTierLevel);
  writer.u16(0xf000 | config.minSpatialSegmentation).u8(0xfc | config.parallelismType);
  writer
    .u8(0xfc | config.chromaFormat)
    .u8(0xf8 | (config.bitDepthLuma - 8))
    .u8(0xf8 | (config.bitDepthChroma - 8));
  writer
    .u16(config.averageFrameRate)
    .u8(config.layers | (config.lengthSize - 1))
    .u8(config.arrays.length);
  for (const { nalType, isComplete, nals } of config.arrays) {
    writer.u8((isComplete ? 0x80 : 0) | nalType).u16(nals.length);
    for (const nal of nals) writer.u16(nal.length).bytes(nal);
  }
  return writer.finish();
}

/** What a relay reads from a sequence parameter set (ITU-T H.265 §7.3.2.2). */
export interface H265SpsInfo {
  readonly profileTierLevel: Uint8Array;
  readonly temporalLayers: number;
  readonly isTemporalIdNested: boolean;
  readonly chromaFormat: number;
  readonly bitDepthLuma: number;
  readonly bitDepthChroma: number;
  /** Pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /** Most pictures decoded before, and shown after, another one; undefined where the set ends before that. */
  readonly reorderFrames: number | undefined;
}

/**
 * @param nal the SPS NAL unit with its two header bytes
 * @throws {ProtocolError} when it is cut short or not an SPS
 */
export function parseH265Sps(nal: Uint8Array): H265SpsInfo {
  if (h265NalTypeOf(nal[0] ?? 0) !== h265NalType.sps) throw new ProtocolError("SPS_TYPE", "not an H.265 SPS");
  const ended = (): Error => new ProtocolError("SPS_TRUNCATED", "the sequence parameter set ends early");
  const rbsp = removeEmulationPrevention(nal.subarray(2));
  const bits = new BitReader(rbsp, ended);
  bits.bits(4);
  const subLayers = bits.bits(3);
  const isTemporalIdNested = bits.flag();
  if (rbsp.length < 13) throw ended();
  const profileTierLevel = rbsp.slice(1, 13);
  for (let i = 0; i < 12; i++) bits.bits(8);
  skipSubLayers(bits, subLayers);
  bits.unsignedGolomb();
  const chromaFormat = bits.unsignedGolomb();
  if (chromaFormat > 3) throw new ProtocolError("SPS_RANGE", "chroma_format_idc is out of range");
  const hasSeparatePlanes = chromaFormat === 3 && bits.flag();
  const codedWidth = bits.unsignedGolomb();
  const codedHeight = bits.unsignedGolomb();
  const crop = bits.flag() ? Array.from({ length: 4 }, () => bits.unsignedGolomb()) : [0, 0, 0, 0];
  const bitDepthLuma = bits.unsignedGolomb() + 8;
  const bitDepthChroma = bits.unsignedGolomb() + 8;
  if (bitDepthLuma > 15 || bitDepthChroma > 15) throw new ProtocolError("SPS_RANGE", "the bit depth is out of range");
  const isSubsampledX = (chromaFormat === 1 || chromaFormat === 2) && !hasSeparatePlanes;
  return {
    profileTierLevel,
    temporalLayers: subLayers + 1,
    isTemporalIdNested,
    chromaFormat,
    bitDepthLuma,
    bitDepthChroma,
    width: codedWidth - (crop[0]! + crop[1]!) * (isSubsampledX ? 2 : 1),
    height: codedHeight - (crop[2]! + crop[3]!) * (chromaFormat === 1 ? 2 : 1),
    reorderFrames: readReorderFrames(bits, subLayers),
  };
}

/** sps_max_num_reorder_pics of the highest sub-layer. Nothing that is needed stands behind it. */
function readReorderFrames(bits: BitReader, subLayers: number): number | undefined {
  try {
    bits.unsignedGolomb();
    let reorderFrames = 0;
    for (let layer = bits.flag() ? 0 : subLayers; layer <= subLayers; layer++) {
      bits.unsignedGolomb();
      reorderFrames = bits.unsignedGolomb();
      bits.unsignedGolomb();
    }
    return reorderFrames <= 15 ? reorderFrames : undefined;
  } catch {
    return undefined;
  }
}

/** The sub-layer part of profile_tier_level (ITU-T H.265 §7.3.3). */
function skipSubLayers(bits: BitReader, subLayers: number): void {
  const present = Array.from({ length: subLayers }, () => ({ hasProfile: bits.flag(), hasLevel: bits.flag() }));
  if (subLayers > 0) for (let i = subLayers; i < 8; i++) bits.bits(2);
  for (const { hasProfile, hasLevel } of present) {
    if (hasProfile) for (let i = 0; i < 11; i++) bits.bits(8);
    if (hasLevel) bits.bits(8);
  }
}

/** The record for these parameter sets, 4-byte lengths. Throws {@link ProtocolError} when the SPS cannot be read. */
export function hvcConfigOf(
  vps: readonly Uint8Array[],
  sps: readonly Uint8Array[],
  pps: readonly Uint8Array[],
): HvcConfig {
  const first = sps[0];
  if (!first) throw new ProtocolError("HVC_NO_SPS", "an hvcC record needs a sequence parameter set");
  const info = parseH265Sps(first);
  return {
    profileTierLevel: info.profileTierLevel,
    minSpatialSegmentation: 0,
    parallelismType: 0,
    chromaFormat: info.chromaFormat,
    bitDepthLuma: info.bitDepthLuma,
    bitDepthChroma: info.bitDepthChroma,
    averageFrameRate: 0,
    layers: ((info.temporalLayers & 7) << 3) | (info.isTemporalIdNested ? 4 : 0),
    lengthSize: 4,
    arrays: [
      { nalType: h265NalType.vps, isComplete: true, nals: vps },
      { nalType: h265NalType.sps, isComplete: true, nals: sps },
      { nalType: h265NalType.pps, isComplete: true, nals: pps },
    ],
  };
}
