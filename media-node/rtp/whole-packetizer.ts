import type { PacketSlab } from "./packet-slab.ts";

/** A packet of audio cannot be cut, so it may be larger than video's; what does not fit one Ethernet frame is dropped. */
const maxPayloadBytes = 1_400;

/** One sample, one packet, no marker: Opus (RFC 7587 §4.2) and G.711 (RFC 3551 §4.5.14). */
export class WholePacketizer {
  readonly clockRate: number;

  constructor(clockRate: number) {
    this.clockRate = clockRate;
  }

  packetize(data: Uint8Array, slab: PacketSlab): void {
    if (data.length > 0 && data.length <= maxPayloadBytes) slab.addCopy(data);
  }
}
