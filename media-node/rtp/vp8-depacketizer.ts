import { joinPieces, maxFrameBytes, maxFramePieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** VP8 from RTP (RFC 7741): partitions with a descriptor each, a frame ending at the marker. */
export class Vp8Depacketizer implements Depacketizer {
  readonly #emit: EmitFrame;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #timestamp: number | undefined;
  #isBroken = false;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(emit: EmitFrame) {
    this.#emit = emit;
  }

  get discarded(): number {
    return this.#discarded;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) {
      this.#isAfterLoss = true;
      if (this.#pieces.length > 0) this.#break();
    }
    if (timestamp !== this.#timestamp) {
      if (this.#pieces.length > 0) this.#finish();
      this.#isBroken = false;
      this.#timestamp = timestamp;
    }
    this.#take(payload);
    if (marker) this.#finish();
  }

  /**
   * RFC 7741 §4.2:
   *
   *     |X|R|N|S|R| PID |   then with X: |I|L|T|K|RSV|, picture id (1 or 2 bytes), TL0PICIDX, TID/KEYIDX
   */
  #take(payload: Uint8Array): void {
    if (this.#isBroken) return;
    const length = descriptorLength(payload);
    if (length >= payload.length) return this.#break();
    const isStart = (payload[0]! & 0x17) === 0x10;
    // A frame can only begin with the first packet of partition 0.
    if (this.#pieces.length === 0 && !isStart) return this.#break();
    const piece = payload.subarray(length);
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes > maxFrameBytes || this.#pieces.length > maxFramePieces) this.#break();
  }

  #finish(): void {
    if (this.#pieces.length > 0 && this.#timestamp !== undefined) {
      const data = joinPieces(this.#pieces, this.#bytes);
      const isAfterLoss = this.#isAfterLoss;
      this.#isAfterLoss = false;
      // The frame tag's lowest bit is 0 for a key frame (RFC 6386 §9.1).
      this.#emit({ timestamp: this.#timestamp, data, isKeyframe: (data[0]! & 1) === 0, isAfterLoss });
    }
    this.#clear();
  }

  #break(): void {
    this.#discarded++;
    this.#clear();
    this.#isBroken = true;
    this.#isAfterLoss = true;
  }

  #clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#isBroken = false;
  }
}

function descriptorLength(payload: Uint8Array): number {
  if (!((payload[0] ?? 0) & 0x80)) return 1;
  const extension = payload[1] ?? 0;
  let length = 2;
  if (extension & 0x80) length += (payload[2] ?? 0) & 0x80 ? 2 : 1;
  if (extension & 0x40) length++;
  if (extension & 0x30) length++;
  return length;
}

/** Pixels of a VP8 key frame (RFC 6386 §9.1); undefined for anything else. */
export function vp8FrameSize(frame: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  const hasStartCode = frame[3] === 0x9d && frame[4] === 0x01 && frame[5] === 0x2a;
  if (frame.length < 10 || frame[0]! & 1 || !hasStartCode) return undefined;
  return { width: (frame[6]! | (frame[7]! << 8)) & 0x3fff, height: (frame[8]! | (frame[9]! << 8)) & 0x3fff };
}
