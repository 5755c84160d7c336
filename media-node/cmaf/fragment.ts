import { forEachNal } from "../codecs/annex-b.ts";
import { onlyTrackId } from "./cmaf-track.ts";

/** One sample as it goes into a fragment. Times in ticks of the track. */
export interface FragmentSample {
  /** For H.264 and H.265 one Annex B access unit, else the bytes as they are. */
  readonly data: Uint8Array;
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  readonly isSync: boolean;
}

export interface FragmentOptions {
  /** mfhd sequence number, 32 bits. */
  readonly sequence: number;
  readonly isVideo: boolean;
  /** Decoding time of the first sample: of an empty fragment too. */
  readonly baseTime: number;
  /** Given for Annex B data: which NAL units are kept. They get 4-byte lengths instead of start codes. */
  readonly keepNal?: (data: Uint8Array, start: number, end: number) => boolean;
}

const syncFlags = 0x0200_0000;
const nonSyncFlags = 0x0101_0000;

/** moof 8 + mfhd 16 + traf 8 + tfhd 16 + tfdt 20 + trun 20, then the table, then mdat's header. */
const fixedMoof = 8 + 16 + 8 + 16 + 20 + 20;

/**
 * One part: `moof` and `mdat` (ISO 14496-12 §8.8), a self-contained fragment of one track. Concatenated parts are a
 * segment. Written into one buffer of the exact size with each sample copied once, since parts live for a while and
 * there are many of them.
 */
export function serializeFragment(samples: readonly FragmentSample[], options: FragmentOptions): Buffer {
  const { isVideo, keepNal } = options;
  const bounds: number[] = [];
  const sizes = samples.map(({ data }) => (keepNal ? nalSize(data, keepNal, bounds) : data.length));
  const hasOffsets = samples.some(({ pts, dts }) => pts !== dts);
  const perSample = 8 + (isVideo ? 4 : 0) + (hasOffsets ? 4 : 0);
  const moofSize = fixedMoof + samples.length * perSample;
  const bytes = Buffer.allocUnsafeSlow(sizes.reduce((sum, size) => sum + size, moofSize + 8));
  let at = writeMoofHeader(bytes, moofSize, samples.length, hasOffsets, options);
  for (const [index, { pts, dts, duration, isSync }] of samples.entries()) {
    at = bytes.writeUInt32BE(duration, at);
    at = bytes.writeUInt32BE(sizes[index]!, at);
    if (isVideo) at = bytes.writeUInt32BE(isSync ? syncFlags : nonSyncFlags, at);
    if (hasOffsets) at = bytes.writeInt32BE(pts - dts, at);
  }
  at = writeHeader(bytes, at, bytes.length - moofSize, "mdat");
  if (keepNal) {
    writeNals(bytes, at, samples, sizes, bounds);
    return bytes;
  }
  for (const { data } of samples) {
    bytes.set(data, at);
    at += data.length;
  }
  return bytes;
}

/** Appends start and end of every kept NAL unit to `bounds`; returns the size with 4-byte lengths. */
function nalSize(data: Uint8Array, keepNal: NonNullable<FragmentOptions["keepNal"]>, bounds: number[]): number {
  let size = 0;
  forEachNal(data, (start, end) => {
    if (!keepNal(data, start, end)) return;
    bounds.push(start, end);
    size += 4 + end - start;
  });
  return size;
}

function writeNals(
  bytes: Buffer,
  start: number,
  samples: readonly FragmentSample[],
  sizes: readonly number[],
  bounds: readonly number[],
): void {
  let at = start;
  let next = 0;
  for (const [index, { data }] of samples.entries()) {
    for (const sampleEnd = at + sizes[index]!; at < sampleEnd; next += 2) {
      const nalStart = bounds[next]!;
      const nalEnd = bounds[next + 1]!;
      at = bytes.writeUInt32BE(nalEnd - nalStart, at);
      bytes.set(data.subarray(nalStart, nalEnd), at);
      at += nalEnd - nalStart;
    }
  }
}

function writeHeader(bytes: Buffer, at: number, size: number, type: string): number {
  bytes.writeUInt32BE(size, at);
  bytes.write(type, at + 4, "latin1");
  return at + 8;
}

function writeMoofHeader(
  bytes: Buffer,
  moofSize: number,
  sampleCount: number,
  hasOffsets: boolean,
  { sequence, isVideo, baseTime }: FragmentOptions,
): number {
  let at = writeHeader(bytes, 0, moofSize, "moof");
  at = writeHeader(bytes, at, 16, "mfhd");
  at = bytes.writeUInt32BE(0, at);
  at = bytes.writeUInt32BE(sequence, at);
  at = writeHeader(bytes, at, moofSize - 24, "traf");
  at = writeHeader(bytes, at, 16, "tfhd");
  // default-base-is-moof: without it the data offsets of concatenated fragments are ambiguous.
  at = bytes.writeUInt32BE(0x02_0000, at);
  at = bytes.writeUInt32BE(onlyTrackId, at);
  at = writeHeader(bytes, at, 20, "tfdt");
  at = bytes.writeUInt32BE(0x0100_0000, at);
  at = bytes.writeUInt32BE(Math.floor(baseTime / 2 ** 32), at);
  at = bytes.writeUInt32BE(baseTime % 2 ** 32, at);
  at = writeHeader(bytes, at, moofSize - 68, "trun");
  const flags = 0x301 | (isVideo ? 0x400 : 0) | (hasOffsets ? 0x800 : 0);
  at = bytes.writeUInt32BE(0x0100_0000 | flags, at);
  at = bytes.writeUInt32BE(sampleCount, at);
  return bytes.writeUInt32BE(moofSize + 8, at);
}
