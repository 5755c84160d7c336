import type { Depacketizer, EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** Opus (RFC 7587 §4.2) and G.711 (RFC 3551 §4.5.14): every packet's payload is one frame. */
export class WholePacketDepacketizer implements Depacketizer {
  readonly discarded = 0;
  readonly #emit: EmitFrame;
  #isAfterLoss = false;

  constructor(emit: EmitFrame) {
    this.#emit = emit;
  }

  push({ payload, timestamp }: RtpPacket, isAfterLoss: boolean): void {
    this.#isAfterLoss ||= isAfterLoss;
    // An empty payload is a keep-alive or discontinuous transmission: nothing to decode, nothing lost.
    if (payload.length === 0) return;
    const frame = { timestamp, data: payload.slice(), isKeyframe: true, isAfterLoss: this.#isAfterLoss };
    this.#isAfterLoss = false;
    this.#emit(frame);
  }
}
