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
  /** NAL units with their lengths, put before those of every sync sample. */
  readonly syncHead?: Uint8Array;
}

const none = new Uint8Array();

/** A view writes what is too large without a word, and wrong. */
const [maxUint32, maxInt32] = [2 ** 32 - 1, 2 ** 31 - 1];
const syncFlags = 0x0200_0000;
const nonSyncFlags = 0x0101_0000;

/** Box types as numbers. */
const boxes = {
  moof: fourCc("moof"),
  mfhd: fourCc("mfhd"),
  traf: fourCc("traf"),
  tfhd: fourCc("tfhd"),
  tfdt: fourCc("tfdt"),
  trun: fourCc("trun"),
  mdat: fourCc("mdat"),
};

function fourCc(text: string): number {
  return Buffer.from(text, "latin1").readUInt32BE(0);
}

/** moof 8 + mfhd 16 + traf 8 + tfhd 16 + tfdt 20 + trun 20, then the table, then mdat's header. */
const fixedMoof = 8 + 16 + 8 + 16 + 20 + 20;

/**
 * One part: `moof` and `mdat` (ISO 14496-12 §8.8), a self-contained fragment of one track. Concatenated parts are a
 * segment. Written into one buffer of the exact size with each sample copied once, since parts live for a while and
 * there are many of them.
 * @throws {RangeError} when a duration or an offset does not fit into its field
 */
export function serializeFragment(samples: readonly FragmentSample[], options: FragmentOptions): Buffer {
  const { isVideo, keepNal, syncHead = none } = options;
  const bounds: number[] = [];
  const sizes: number[] = [];
  let mediaSize = 0;
  let hasOffsets = false;
  for (const { data, pts, dts, isSync } of samples) {
    const size = keepNal ? (isSync ? syncHead.length : 0) + nalSize(data, keepNal, bounds) : data.length;
    sizes.push(size);
    mediaSize += size;
    hasOffsets ||= pts !== dts;
  }
  const perSample = 8 + (isVideo ? 4 : 0) + (hasOffsets ? 4 : 0);
  const moofSize = fixedMoof + samples.length * perSample;
  const bytes = Buffer.allocUnsafeSlow(moofSize + 8 + mediaSize);
  // A view's methods are single instructions where a Buffer's are calls.
  const view = new DataView(bytes.buffer, bytes.byteOffset, moofSize + 8);
  writeMoofHeader(view, moofSize, samples.length, hasOffsets, options);
  let at = fixedMoof;
  for (let index = 0; index < samples.length; index++) {
    const { pts, dts, duration, isSync } = samples[index]!;
    if (duration < 0 || duration > maxUint32 || Math.abs(pts - dts) > maxInt32)
      throw new RangeError("time out of range");
    view.setUint32(at, duration);
    view.setUint32(at + 4, sizes[index]!);
    if (isVideo) view.setUint32(at + 8, isSync ? syncFlags : nonSyncFlags);
    if (hasOffsets) view.setInt32(at + perSample - 4, pts - dts);
    at += perSample;
  }
  writeHeader(view, at, 8 + mediaSize, boxes.mdat);
  at += 8;
  if (keepNal) {
    writeNals(bytes, at, samples, { sizes, bounds, syncHead });
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
  {
    sizes,
    bounds,
    syncHead,
  }: { readonly sizes: readonly number[]; readonly bounds: readonly number[]; readonly syncHead: Uint8Array },
): void {
  let at = start;
  let next = 0;
  for (let index = 0; index < samples.length; index++) {
    const { data, isSync } = samples[index]!;
    const sampleEnd = at + sizes[index]!;
    if (isSync) {
      bytes.set(syncHead, at);
      at += syncHead.length;
    }
    for (; at < sampleEnd; next += 2) {
      const nalStart = bounds[next]!;
      const nalEnd = bounds[next + 1]!;
      at = bytes.writeUInt32BE(nalEnd - nalStart, at);
      bytes.set(data.subarray(nalStart, nalEnd), at);
      at += nalEnd - nalStart;
    }
  }
}

function writeHeader(view: DataView, at: number, size: number, type: number): void {
  view.setUint32(at, size);
  view.setUint32(at + 4, type);
}

function writeMoofHeader(
  view: DataView,
  moofSize: number,
  sampleCount: number,
  hasOffsets: boolean,
  { sequence, isVideo, baseTime }: FragmentOptions,
): void {
  if (baseTime < 0) throw new RangeError("time out of range");
  writeHeader(view, 0, moofSize, boxes.moof);
  writeHeader(view, 8, 16, boxes.mfhd);
  view.setUint32(16, 0);
  view.setUint32(20, sequence);
  writeHeader(view, 24, moofSize - 24, boxes.traf);
  writeHeader(view, 32, 16, boxes.tfhd);
  // default-base-is-moof: without it the data offsets of concatenated fragments are ambiguous.
  view.setUint32(40, 0x02_0000);
  view.setUint32(44, onlyTrackId);
  writeHeader(view, 48, 20, boxes.tfdt);
  view.setUint32(56, 0x0100_0000);
  view.setUint32(60, Math.floor(baseTime / 2 ** 32));
  view.setUint32(64, baseTime % 2 ** 32);
  writeHeader(view, 68, moofSize - 68, boxes.trun);
  const flags = 0x301 | (isVideo ? 0x400 : 0) | (hasOffsets ? 0x800 : 0);
  view.setUint32(76, 0x0100_0000 | flags);
  view.setUint32(80, sampleCount);
  view.setUint32(84, moofSize + 8);
}
