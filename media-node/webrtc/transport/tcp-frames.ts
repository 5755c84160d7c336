import { ProtocolError } from "../../flow/errors.ts";

/** No STUN, DTLS or SRTCP message of a viewer is longer; media flows the other way. */
export const maxTcpFrameBytes = 2048;

/** Cuts a byte stream into packets (RFC 4571 §2: a 16-bit length before each). Holds at most one unfinished packet. */
export class TcpFrames {
  readonly #pending = Buffer.allocUnsafe(2 + maxTcpFrameBytes);
  #length = 0;

  /**
   * @param take gets views that are valid during the call
   * @throws {ProtocolError} when a packet is announced that is longer than {@link maxTcpFrameBytes}
   */
  push(bytes: Uint8Array, take: (packet: Uint8Array) => void): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#length === 0 && bytes.length - at >= 2) {
        const end = at + 2 + checked((bytes[at]! << 8) | bytes[at + 1]!);
        if (end <= bytes.length) {
          take(bytes.subarray(at + 2, end));
          at = end;
          continue;
        }
      }
      at = this.#fill(bytes, at, take);
    }
  }

  /** Adds to the unfinished packet; returns how far it got. */
  #fill(bytes: Uint8Array, at: number, take: (packet: Uint8Array) => void): number {
    const wanted = this.#length < 2 ? 2 : 2 + this.#pending.readUInt16BE();
    const end = Math.min(bytes.length, at + wanted - this.#length);
    this.#pending.set(bytes.subarray(at, end), this.#length);
    this.#length += end - at;
    if (this.#length < 2) return end;
    const whole = 2 + checked(this.#pending.readUInt16BE());
    if (this.#length === whole) {
      this.#length = 0;
      take(this.#pending.subarray(2, whole));
    }
    return end;
  }
}

function checked(length: number): number {
  if (length <= maxTcpFrameBytes) return length;
  throw new ProtocolError("ICE_TCP_FRAME", `a packet of ${length} bytes`);
}
