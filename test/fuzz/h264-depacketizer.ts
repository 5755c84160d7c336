import { H264Depacketizer } from "../../media-node/rtp/h264-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

export const seeds = [
  Uint8Array.of(0, 4, 0x67, 66, 0, 30, 0, 3, 0x68, 1, 2, 1, 4, 0x65, 0x88, 1, 2, 5, 3, 0x41, 0x9a, 1),
  Uint8Array.of(4, 5, 0x7c, 0x85, 0x88, 1, 2, 0, 3, 0x7c, 0x05, 3, 1, 3, 0x7c, 0x45, 4, 5, 3, 0x41, 0x9a, 1),
  Uint8Array.of(4, 11, 24, 0, 4, 0x67, 66, 0, 30, 0, 2, 0x68, 1, 1, 3, 0x65, 0x88, 1),
  Uint8Array.of(4, 13, 0x7c, 0xc7, 66, 0, 30, 0, 0, 0, 1, 0x68, 1, 0, 0, 5, 4, 0, 0, 1, 0x65),
];

/** A unit of two bytes gets a start code of four. */
export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 3, (emit) => new H264Depacketizer(emit));
}
