import { ProtocolError } from "../../media-node/flow/errors.ts";
import { Av1Depacketizer } from "../../media-node/rtp/av1-depacketizer.ts";
import { LatmDepacketizer, parseLatmConfig } from "../../media-node/rtp/latm-depacketizer.ts";
import { Mp3Depacketizer } from "../../media-node/rtp/mp3-depacketizer.ts";
import { Vp8Depacketizer } from "../../media-node/rtp/vp8-depacketizer.ts";
import { Vp9Depacketizer } from "../../media-node/rtp/vp9-depacketizer.ts";
import { WholePacketDepacketizer } from "../../media-node/rtp/whole-packet-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

/** One packet as {@link feedDepacketizer} reads it. @param flags 1 = marker, 2 = after a loss, 4 = new time */
const packet = (flags: number, ...payload: number[]): number[] => [flags, payload.length, ...payload];
const vp9Key = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70];

export const seeds = [
  // VP8: a key frame in two pieces, with every extension of the descriptor.
  [packet(4, 0x90, 0xf0, 0x81, 2, 3, 0x20, 0x10, 2, 0, 0x9d, 1, 0x2a), packet(1, 0x80, 0x80, 5, 0x40, 1, 0xf0, 0)],
  // VP9: layers, references, a scalability structure.
  [packet(5, 0xac, 0x91, 0x22, 0, 5, ...vp9Key), packet(5, 0xdc, 0x11, 3, 5, 6, 0x86, 1)],
  [packet(4, 0x0a, 0x38, 2, 0x80, 1, 0x68, 1, 0x40, 0, 0xb4, 1, 4, 1, ...vp9Key), packet(1, 4, 9, 9)],
  // AV1: a sequence header and a key frame in pieces, lengths of their own or not.
  [packet(4, 0x68, 10, 0x0a, 0, 0, 0, 0x2c, 0xee, 0xef, 0xbf, 0xe1, 0xbd, 0x30, 0x10, 7), packet(1, 0x90, 8, 9)],
  [packet(5, 0x08, 2, 0x32, 0, 3, 0x30, 0x10, 1, 1, 0x12)],
  // LATM: with a configuration of its own, and without.
  [
    packet(5, 0x20, 0x00, 0x12, 0x10, 0x00, 0x1f, 0xe0, 0x10, 0x80, 0x80),
    packet(5, 0x80, 0x81, 0, 0),
    packet(5, 2, 7, 7),
  ],
  // MP3: a frame of 32 kbit/s.
  [packet(5, 0, 0, 0, 0, 0xff, 0xfb, 0x10, 0xc4, 0, 0), packet(1, 0, 0, 0, 10, 1, 2, 3)],
].map((packets) => Uint8Array.from(packets.flat()));

/** VP8, VP9, AV1, MP3, LATM and one frame a packet. */
export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 1, (emit) => new Vp8Depacketizer(emit));
  feedDepacketizer(input, 1, (emit) => new Mp3Depacketizer(90_000, emit));
  feedDepacketizer(input, 1, (emit) => new LatmDepacketizer({ framesPerElement: 3, frameTicks: 1_024 }, emit));
  feedDepacketizer(input, 1, (emit) => new LatmDepacketizer({ frameTicksOf: () => 1_024 }, emit));
  feedDepacketizer(input, 1, (emit) => new Vp9Depacketizer(emit));
  // An OBU of one byte gets its length beside it.
  feedDepacketizer(input, 2, (emit) => new Av1Depacketizer(emit));
  feedDepacketizer(input, 1, (emit) => new WholePacketDepacketizer(emit));
  try {
    parseLatmConfig(input);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}
