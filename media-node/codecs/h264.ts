import { BitReader } from "../bytes/bit-reader.ts";
import { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { ProtocolError } from "../flow/errors.ts";
import { forEachNal } from "./annex-b.ts";

/** NAL unit types (ITU-T H.264 table 7-1) that a relay must know. */
export const nalType = {
  slice: 1,
  idr: 5,
  sei: 6,
  sps: 7,
  pps: 8,
  aud: 9,
  endOfSequence: 10,
  endOfStream: 11,
  filler: 12,
} as const;

export function nalTypeOf(firstByte: number): number {
  return firstByte & 0x1f;
}

/** Whether an Annex B access unit holds an IDR slice, i.e. decoding can start here. */
export function hasIdr(accessUnit: Uint8Array): boolean {
  let isFound = false;
  forEachNal(accessUnit, (start) => (isFound ||= nalTypeOf(accessUnit[start]!) === nalType.idr));
  return isFound;
}

/** AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1), without the optional high-profile tail, which nothing needs. */
export interface AvcConfig {
  readonly profile: number;
  readonly compatibility: number;
  readonly level: number;
  /** 1, 2 or 4 */
  readonly lengthSize: number;
  readonly sps: readonly Uint8Array[];
  readonly pps: readonly Uint8Array[];
}

const truncated = (): Error => new ProtocolError("AVCC_TRUNCATED", "the avcC record ends early");

/** @throws {ProtocolError} when `bytes` is no avcC record */
export function parseAvcConfig(bytes: Uint8Array): AvcConfig {
  const reader = new ByteReader(bytes, truncated);
  if (reader.u8() !== 1) throw new ProtocolError("AVCC_VERSION", "the avcC record has an unknown version");
  const profile = reader.u8();
  const compatibility = reader.u8();
  const level = reader.u8();
  const lengthSize = (reader.u8() & 3) + 1;
  const sps = Array.from({ length: reader.u8() & 31 }, () => reader.take(reader.u16()));
  const pps = Array.from({ length: reader.u8() }, () => reader.take(reader.u16()));
  return { profile, compatibility, level, lengthSize, sps, pps };
}

/** Inverse of {@link parseAvcConfig}. */
export function serializeAvcConfig(config: AvcConfig): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(1).u8(config.profile).u8(config.compatibility).u8(config.level);
  writer.u8(0xfc | (config.lengthSize - 1)).u8(0xe0 | config.sps.length);
  for (const sps of config.sps) writer.u16(sps.length).bytes(sps);
  writer.u8(config.pps.length);
  for (const pps of config.pps) writer.u16(pps.length).bytes(pps);
  return writer.finish();
}

/** The record for these parameter sets, 4-byte lengths; profile and level are read from the first SPS. */
export function avcConfigOf(sps: readonly Uint8Array[], pps: readonly Uint8Array[]): AvcConfig {
  const first = sps[0];
  if (!first || first.length < 4)
    throw new ProtocolError("AVC_NO_SPS", "an avcC record needs a sequence parameter set");
  return { profile: first[1]!, compatibility: first[2]!, level: first[3]!, lengthSize: 4, sps, pps };
}

/** What a relay reads from a sequence parameter set (ITU-T H.264 §7.3.2.1.1). */
export interface SpsInfo {
  readonly profile: number;
  readonly level: number;
  /** Pixels after cropping. */
  readonly width: number;
  readonly height: number;
  /** Frames per second from the VUI; 0 when it has none. */
  readonly framerate: number;
  /** max_num_reorder_frames of the VUI; undefined when absent. 0 = no B-frames. */
  readonly reorderFrames: number | undefined;
}

const highProfiles = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

/**
 * @param nal the SPS NAL unit with its header byte
 * @throws {ProtocolError} when it is cut short or not an SPS
 */
export function parseSps(nal: Uint8Array): SpsInfo {
  if (nalTypeOf(nal[0] ?? 0) !== nalType.sps) throw new ProtocolError("SPS_TYPE", "not a sequence parameter set");
  const bits = new BitReader(
    removeEmulationPrevention(nal.subarray(1)),
    () => new ProtocolError("SPS_TRUNCATED", "the sequence parameter set ends early"),
  );
  const profile = bits.bits(8);
  bits.bits(8);
  const level = bits.bits(8);
  bits.unsignedGolomb();
  let chromaFormat = 1;
  let hasSeparatePlanes = false;
  if (highProfiles.has(profile)) {
    chromaFormat = bits.unsignedGolomb();
    if (chromaFormat === 3) hasSeparatePlanes = bits.flag();
    bits.unsignedGolomb();
    bits.unsignedGolomb();
    bits.flag();
    if (bits.flag()) skipScalingLists(bits, chromaFormat === 3 ? 12 : 8);
  }
  bits.unsignedGolomb();
  skipPicOrderCount(bits);
  bits.unsignedGolomb();
  bits.flag();
  const widthMbs = bits.unsignedGolomb() + 1;
  const heightUnits = bits.unsignedGolomb() + 1;
  const isFrameOnly = bits.flag();
  if (!isFrameOnly) bits.flag();
  bits.flag();
  const crop = bits.flag() ? Array.from({ length: 4 }, () => bits.unsignedGolomb()) : [0, 0, 0, 0];
  const cropUnitX = chromaFormat === 0 || hasSeparatePlanes || chromaFormat === 3 ? 1 : 2;
  const cropUnitY = (chromaFormat === 1 && !hasSeparatePlanes ? 2 : 1) * (isFrameOnly ? 1 : 2);
  const vui = bits.flag() ? parseVui(bits) : { framerate: 0, reorderFrames: undefined };
  return {
    profile,
    level,
    width: widthMbs * 16 - (crop[0]! + crop[1]!) * cropUnitX,
    height: heightUnits * 16 * (isFrameOnly ? 1 : 2) - (crop[2]! + crop[3]!) * cropUnitY,
    ...vui,
  };
}

function skipScalingLists(bits: BitReader, count: number): void {
  for (let list = 0; list < count; list++) {
    if (!bits.flag()) continue;
    let last = 8;
    let next = 8;
    for (let i = 0; i < (list < 6 ? 16 : 64); i++) {
      if (next !== 0) next = (last + bits.signedGolomb() + 256) % 256;
      if (next !== 0) last = next;
    }
  }
}

function skipPicOrderCount(bits: BitReader): void {
  const type = bits.unsignedGolomb();
  if (type === 0) bits.unsignedGolomb();
  if (type !== 1) return;
  bits.flag();
  bits.signedGolomb();
  bits.signedGolomb();
  const cycle = bits.unsignedGolomb();
  if (cycle > 255) throw new ProtocolError("SPS_RANGE", "num_ref_frames_in_pic_order_cnt_cycle is out of range");
  for (let i = 0; i < cycle; i++) bits.signedGolomb();
}

/** ITU-T H.264 §E.1.1. A VUI that is cut short counts as absent: many encoders write broken ones. */
function parseVui(bits: BitReader): { framerate: number; reorderFrames: number | undefined } {
  let framerate = 0;
  try {
    if (bits.flag() && bits.bits(8) === 255) bits.bits(32);
    if (bits.flag()) bits.flag();
    if (bits.flag()) {
      bits.bits(4);
      if (bits.flag()) bits.bits(24);
    }
    if (bits.flag()) {
      bits.unsignedGolomb();
      bits.unsignedGolomb();
    }
    if (bits.flag()) {
      const unitsInTick = bits.bits(32);
      const timeScale = bits.bits(32);
      bits.flag();
      if (unitsInTick > 0) framerate = timeScale / unitsInTick / 2;
    }
    const hasNalHrd = bits.flag();
    if (hasNalHrd) skipHrd(bits);
    const hasVclHrd = bits.flag();
    if (hasVclHrd) skipHrd(bits);
    if (hasNalHrd || hasVclHrd) bits.flag();
    bits.flag();
    if (!bits.flag()) return { framerate, reorderFrames: undefined };
    bits.flag();
    for (let i = 0; i < 4; i++) bits.unsignedGolomb();
    return { framerate, reorderFrames: bits.unsignedGolomb() };
  } catch {
    return { framerate, reorderFrames: undefined };
  }
}

function skipHrd(bits: BitReader): void {
  const count = bits.unsignedGolomb() + 1;
  bits.bits(8);
  for (let i = 0; i < Math.min(count, 32); i++) {
    bits.unsignedGolomb();
    bits.unsignedGolomb();
    bits.flag();
  }
  bits.bits(20);
}

/** RBSP of a NAL unit: `00 00 03` becomes `00 00` (ITU-T H.264 §7.4.1). */
export function removeEmulationPrevention(bytes: Uint8Array): Uint8Array {
  const rbsp = new Uint8Array(bytes.length);
  let length = 0;
  let zeros = 0;
  for (const byte of bytes) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    rbsp[length++] = byte;
  }
  return rbsp.subarray(0, length);
}

/** Supplemental enhancement information (ITU-T H.264 §D.1) of type 6: a recovery point. */
const recoveryPoint = 6;

/**
 * Pictures after which a decoder that begins here shows whole ones (ITU-T H.264 §D.2.8); undefined when the SEI unit
 * holds no recovery point, or is unreadable.
 */
export function recoveryFrames(sei: Uint8Array): number | undefined {
  const bytes = removeEmulationPrevention(sei.subarray(1));
  for (let at = 0; at + 2 < bytes.length;) {
    let type = 0;
    while (bytes[at] === 0xff) type += bytes[at++]!;
    type += bytes[at++] ?? 0;
    let length = 0;
    while (bytes[at] === 0xff) length += bytes[at++]!;
    length += bytes[at++] ?? 0;
    if (at + length > bytes.length) return undefined;
    if (type === recoveryPoint) return firstGolomb(bytes.subarray(at, at + length));
    at += length;
  }
  return undefined;
}

function firstGolomb(payload: Uint8Array): number | undefined {
  try {
    return new BitReader(payload, () => new ProtocolError("H264_TRUNCATED", "the SEI ends early")).unsignedGolomb();
  } catch {
    return undefined;
  }
}
