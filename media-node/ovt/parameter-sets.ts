import { forEachLeadingNal, startCode } from "../codecs/annex-b.ts";
import type { Codec } from "../codecs/codec.ts";
import { avcConfigOf, nalType, nalTypeOf, parseAvcConfig, parseSps, serializeAvcConfig } from "../codecs/h264.ts";
import {
  h265NalType,
  h265NalTypeOf,
  hvcConfigOf,
  isIrap,
  parseH265Sps,
  parseHvcConfig,
  serializeHvcConfig,
} from "../codecs/h265.ts";
import { ProtocolError } from "../flow/errors.ts";

/** What H.264 and H.265 name differently, as a relay needs it. */
interface NalFamily {
  /** Types that must stand in front of a key frame, in this order. */
  readonly parameterTypes: readonly number[];
  readonly delimiterType: number;
  readonly typeOf: (firstByte: number) => number;
  readonly isSlice: (firstByte: number) => boolean;
  readonly isKeySlice: (firstByte: number) => boolean;
  /** The NAL units inside a track's `decoderConfig`. */
  setsIn(record: Uint8Array): readonly Uint8Array[];
  recordOf(sets: ReadonlyMap<number, readonly Uint8Array[]>): Uint8Array;
  sizeOf(sets: ReadonlyMap<number, readonly Uint8Array[]>): { width: number; height: number; framerate: number };
}

const h264: NalFamily = {
  parameterTypes: [nalType.sps, nalType.pps],
  delimiterType: nalType.aud,
  typeOf: nalTypeOf,
  isSlice: (byte) => nalTypeOf(byte) >= 1 && nalTypeOf(byte) <= 5,
  isKeySlice: (byte) => nalTypeOf(byte) === nalType.idr,
  setsIn(record) {
    const { sps, pps } = parseAvcConfig(record);
    return [...sps, ...pps];
  },
  recordOf: (sets) => serializeAvcConfig(avcConfigOf(sets.get(nalType.sps) ?? [], sets.get(nalType.pps) ?? [])),
  sizeOf(sets) {
    const { width, height, framerate } = parseSps(sets.get(nalType.sps)?.[0] ?? new Uint8Array());
    return { width, height, framerate };
  },
};

const h265: NalFamily = {
  parameterTypes: [h265NalType.vps, h265NalType.sps, h265NalType.pps],
  delimiterType: h265NalType.aud,
  typeOf: h265NalTypeOf,
  isSlice: (byte) => h265NalTypeOf(byte) < 32,
  isKeySlice: (byte) => isIrap(h265NalTypeOf(byte)),
  setsIn: (record) => parseHvcConfig(record).arrays.flatMap(({ nals }) => nals),
  recordOf(sets) {
    const [vps, sps, pps] = this.parameterTypes.map((type) => sets.get(type) ?? []);
    return serializeHvcConfig(hvcConfigOf(vps!, sps!, pps!));
  },
  sizeOf(sets) {
    const { width, height } = parseH265Sps(sets.get(h265NalType.sps)?.[0] ?? new Uint8Array());
    return { width, height, framerate: 0 };
  },
};

export function nalFamilyOf(codec: Codec): NalFamily | undefined {
  return codec === "h264" ? h264 : codec === "h265" ? h265 : undefined;
}

/** What stands at the head of an access unit. */
export interface AccessUnitHead {
  readonly hasSlice: boolean;
  readonly isKeyframe: boolean;
}

/** Looks at the NAL units up to the first slice, which decides what the whole access unit is. */
export function inspectAccessUnit(family: NalFamily, data: Uint8Array): AccessUnitHead {
  const slice = forEachLeadingNal(data, family.isSlice, () => {});
  return { hasSlice: slice >= 0, isKeyframe: slice >= 0 && family.isKeySlice(data[slice]!) };
}

/**
 * Parameter sets in band, by type, each once however often it is repeated; undefined unless every type is there.
 * Views into `data`.
 */
export function parameterSetsIn(
  family: NalFamily,
  data: Uint8Array,
): ReadonlyMap<number, readonly Uint8Array[]> | undefined {
  const sets = new Map<number, Uint8Array[]>();
  forEachLeadingNal(data, family.isSlice, (start, end) => {
    const type = family.typeOf(data[start]!);
    if (!family.parameterTypes.includes(type)) return;
    const found = data.subarray(start, end);
    const known = sets.get(type) ?? [];
    if (!known.some((other) => isSameSet(other, found))) sets.set(type, [...known, found]);
  });
  return family.parameterTypes.every((type) => sets.has(type)) ? sets : undefined;
}

/** Whether two parameter sets are one; zeros at the end belong to the byte stream, and some records keep them. */
export function isSameSet(a: Uint8Array, b: Uint8Array): boolean {
  const length = lengthOf(a);
  if (length !== lengthOf(b)) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function lengthOf(set: Uint8Array): number {
  let length = set.length;
  while (length > 0 && set[length - 1] === 0) length--;
  return length;
}

/** The NAL units of a `decoderConfig`; empty when the record cannot be read. */
export function setsInRecord(family: NalFamily, record: Uint8Array | undefined): readonly Uint8Array[] {
  if (!record) return [];
  try {
    return family.setsIn(record);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return [];
    throw thrown;
  }
}

/**
 * The pieces of a key frame with its parameter sets in front: `data` alone when it has them, else with `sets` between its
 * access unit delimiter, if it has one, and the rest. Copies nothing.
 */
export function withParameterSets(
  family: NalFamily,
  data: Uint8Array,
  sets: readonly Uint8Array[],
): readonly Uint8Array[] {
  if (sets.length === 0 || parameterSetsIn(family, data)) return [data];
  let delimiterEnd = 0;
  forEachLeadingNal(data, family.isSlice, (start, end) => {
    if (family.typeOf(data[start]!) === family.delimiterType && delimiterEnd === 0) delimiterEnd = end;
  });
  const pieces: Uint8Array[] = delimiterEnd > 0 ? [data.subarray(0, delimiterEnd)] : [];
  for (const set of sets) pieces.push(startCode, set);
  pieces.push(data.subarray(delimiterEnd));
  return pieces;
}
