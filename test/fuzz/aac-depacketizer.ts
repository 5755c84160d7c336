import { AacDepacketizer, type AacPayloadFormat } from "../../media-node/rtp/aac-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

const common = { ctsDeltaLength: 0, dtsDeltaLength: 0, streamStateLength: 0, constantSize: 0, frameTicks: 1_024 };
const formats = [
  {
    ...common,
    sizeLength: 13,
    indexLength: 3,
    indexDeltaLength: 3,
    hasRandomAccessFlag: false,
    auxiliarySizeLength: 0,
  },
  { ...common, sizeLength: 6, indexLength: 2, indexDeltaLength: 2, hasRandomAccessFlag: false, auxiliarySizeLength: 0 },
  { ...common, sizeLength: 7, indexLength: 1, indexDeltaLength: 0, hasRandomAccessFlag: true, auxiliarySizeLength: 5 },
  { ...common, sizeLength: 0, indexLength: 0, indexDeltaLength: 0, hasRandomAccessFlag: false, auxiliarySizeLength: 0 },
];

/** Field lengths are a server's to write, too: some of them 0, in any combination. */
function formatOf(bytes: Uint8Array): AacPayloadFormat {
  const length = (at: number): number => ((bytes[at] ?? 0) & 0x40 ? (bytes[at]! & 0x3f) % 33 : 0);
  return {
    sizeLength: length(0),
    indexLength: length(1),
    indexDeltaLength: length(2),
    ctsDeltaLength: length(3),
    dtsDeltaLength: length(4),
    streamStateLength: length(5),
    auxiliarySizeLength: length(6),
    hasRandomAccessFlag: (bytes[7] ?? 0) > 0x7f,
    constantSize: (bytes[8] ?? 0) >> 4,
    frameTicks: 1_024,
  };
}

export const seeds = [
  Uint8Array.of(5, 8, 0, 16, 0, 32, 1, 2, 3, 4, 5, 12, 0, 32, 0, 16, 0, 24, 1, 2, 3, 4, 5, 6),
  Uint8Array.of(4, 6, 0, 16, 0, 64, 1, 2, 0, 6, 0, 16, 0, 64, 3, 4, 1, 8, 0, 16, 0, 64, 5, 6, 7, 8),
  Uint8Array.of(5, 6, 0, 8, 0x10, 1, 2, 3, 7, 4, 0, 8, 0x08, 9),
  Uint8Array.of(
    0,
    0x43,
    0,
    0,
    0,
    0,
    0,
    0,
    0xa0,
    5,
    20,
    0,
    3,
    0x10,
    1,
    2,
    3,
    7,
    4,
    0,
    8,
    0x08,
    9,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
  ),
];

export function fuzz(input: Uint8Array): void {
  for (const format of formats) feedDepacketizer(input, 1, (emit) => new AacDepacketizer(format, emit));
  feedDepacketizer(input.subarray(9), 1, (emit) => new AacDepacketizer(formatOf(input), emit));
}
