import { AacDepacketizer } from "../../media-node/rtp/aac-depacketizer.ts";
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

export function fuzz(input: Uint8Array): void {
  for (const format of formats) feedDepacketizer(input, 1, (emit) => new AacDepacketizer(format, emit));
}
