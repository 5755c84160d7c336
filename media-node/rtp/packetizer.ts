import type { Codec } from "../codecs/codec.ts";
import { Av1Packetizer } from "./av1-packetizer.ts";
import { H264Packetizer } from "./h264-packetizer.ts";
import { H265Packetizer } from "./h265-packetizer.ts";
import type { PacketSlab } from "./packet-slab.ts";
import { Vp8Packetizer } from "./vp8-packetizer.ts";
import { Vp9Packetizer } from "./vp9-packetizer.ts";
import { WholePacketizer } from "./whole-packetizer.ts";

/** Cuts the samples of one track into RTP packets. */
export interface Packetizer {
  /** RTP ticks per second. */
  readonly clockRate: number;
  /** Adds the packets of one sample to `slab`, on which `begin` was called; none when there is nothing worth sending. */
  packetize(data: Uint8Array, slab: PacketSlab): void;
}

export interface PacketizerOptions {
  /** Largest packet with its RTP header. */
  readonly maxPacketBytes: number;
  /** avcC or hvcC of the track. */
  readonly decoderConfig?: Uint8Array | undefined;
}

/** @returns undefined for codecs that have no RTP payload format here */
export function createPacketizer(codec: Codec, options: PacketizerOptions): Packetizer | undefined {
  switch (codec) {
    case "h264":
      return new H264Packetizer(options);
    case "h265":
      return new H265Packetizer(options);
    case "vp8":
      return new Vp8Packetizer(options);
    case "vp9":
      return new Vp9Packetizer(options);
    case "av1":
      return new Av1Packetizer(options);
    case "opus":
      return new WholePacketizer(48_000);
    case "pcmu":
    case "pcma":
      return new WholePacketizer(8_000);
    default:
      return undefined;
  }
}
