/** Samples of one `moof`, as its boxes say. */
export interface SeenFragment {
  readonly baseTime: number;
  readonly durationTicks: number;
  /** Samples. */
  readonly count: number;
  readonly isBaseMoof: boolean;
  readonly firstIsSync: boolean;
  /** NAL unit types of the first sample, taken as length-prefixed H.264. */
  readonly firstNalTypes: readonly number[];
  readonly nalTypes: ReadonlySet<number>;
}

interface Box {
  readonly type: string;
  readonly start: number;
  readonly body: Buffer;
}

function boxes(bytes: Buffer): Box[] {
  const found: Box[] = [];
  for (let at = 0; at + 8 <= bytes.length;) {
    const size = bytes.readUInt32BE(at);
    if (size < 8 || at + size > bytes.length) throw new Error(`a box at ${at} has an impossible size ${size}`);
    found.push({ type: bytes.toString("latin1", at + 4, at + 8), start: at, body: bytes.subarray(at + 8, at + size) });
    at += size;
  }
  return found;
}

const child = (parent: Buffer, type: string): Buffer | undefined =>
  boxes(parent).find((box) => box.type === type)?.body;

/** What an init segment says of its track. */
export interface SeenInit {
  readonly timescale: number;
  readonly hasMvex: boolean;
  readonly sampleEntry: string;
  readonly config: Buffer;
  /** Pixels; 0 for sound. */
  readonly width: number;
  readonly height: number;
}

/** The only track's timescale, and whether the file announces fragments. */
export function readInit(bytes: Buffer): SeenInit {
  const moov = child(bytes, "moov");
  const mdia = moov && child(child(moov, "trak") ?? Buffer.alloc(0), "mdia");
  const mdhd = mdia && child(mdia, "mdhd");
  const stbl = mdia && child(child(mdia, "minf") ?? Buffer.alloc(0), "stbl");
  const stsd = stbl && child(stbl, "stsd");
  if (!moov || !mdhd || !stsd) throw new Error("the init segment has no moov with a track");
  const entry = boxes(stsd.subarray(8))[0]!;
  const isVisual = entry.type.startsWith("avc") || entry.type.startsWith("h") || entry.type.startsWith("av0");
  const config = boxes(entry.body.subarray(isVisual ? 78 : 28))[0]?.body ?? Buffer.alloc(0);
  const timescale = mdhd.readUInt32BE(mdhd[0] === 1 ? 20 : 12);
  const hasMvex = child(moov, "mvex") !== undefined;
  const [width, height] = isVisual ? [entry.body.readUInt16BE(24), entry.body.readUInt16BE(26)] : [0, 0];
  return { timescale, hasMvex, sampleEntry: entry.type, config, width, height };
}

/** Every fragment of a part or segment. */
export function readFragments(bytes: Buffer): SeenFragment[] {
  const top = boxes(bytes);
  return top.flatMap((box, index) => {
    if (box.type !== "moof") return [];
    const mdat = top[index + 1];
    if (mdat?.type !== "mdat") throw new Error("a moof is not followed by its mdat");
    return [readFragment(box, mdat, bytes)];
  });
}

function readFragment(moof: Box, mdat: Box, bytes: Buffer): SeenFragment {
  const traf = child(moof.body, "traf")!;
  const tfhd = child(traf, "tfhd")!;
  const defaults = readDefaults(tfhd);
  const tfdt = child(traf, "tfdt")!;
  const trun = child(traf, "trun")!;
  const flags = trun.readUInt32BE(0) & 0xffffff;
  const count = trun.readUInt32BE(4);
  let at = 8;
  const dataOffset = flags & 1 ? trun.readInt32BE((at += 4) - 4) : 0;
  const firstFlags = flags & 4 ? trun.readUInt32BE((at += 4) - 4) : undefined;
  let durationTicks = 0;
  const sizes: number[] = [];
  let firstIsSync = (defaults.flags & 0x10000) === 0;
  for (let index = 0; index < count; index++) {
    durationTicks += flags & 0x100 ? trun.readUInt32BE((at += 4) - 4) : defaults.duration;
    sizes.push(flags & 0x200 ? trun.readUInt32BE((at += 4) - 4) : defaults.size);
    if (flags & 0x400) {
      const sampleFlags = trun.readUInt32BE((at += 4) - 4);
      if (index === 0) firstIsSync = (sampleFlags & 0x10000) === 0;
    }
    if (flags & 0x800) at += 4;
  }
  if (firstFlags !== undefined) firstIsSync = (firstFlags & 0x10000) === 0;
  const dataStart = moof.start + dataOffset;
  if (dataStart !== mdat.start + 8) throw new Error("a data offset does not lead to the mdat");
  const data = bytes.subarray(dataStart, dataStart + sizes.reduce((sum, size) => sum + size, 0));
  return {
    baseTime: tfdt[0] === 1 ? Number(tfdt.readBigUInt64BE(4)) : tfdt.readUInt32BE(4),
    durationTicks,
    count,
    isBaseMoof: (tfhd.readUInt32BE(0) & 0x020000) !== 0,
    firstIsSync,
    firstNalTypes: nalTypes(data.subarray(0, sizes[0] ?? 0)),
    nalTypes: new Set(nalTypes(data)),
  };
}

/** What holds for samples that say nothing of their own (ISO 14496-12 §8.8.7); of the fragment, not of the init segment. */
function readDefaults(tfhd: Buffer): { duration: number; size: number; flags: number } {
  const flags = tfhd.readUInt32BE(0) & 0xffffff;
  let at = 8 + (flags & 0x1 ? 8 : 0) + (flags & 0x2 ? 4 : 0);
  const next = (bit: number): number => (flags & bit ? tfhd.readUInt32BE((at += 4) - 4) : 0);
  return { duration: next(0x8), size: next(0x10), flags: next(0x20) };
}

function nalTypes(data: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 5 <= data.length;) {
    types.push(data[at + 4]! & 0x1f);
    at += 4 + data.readUInt32BE(at);
  }
  return types;
}
