import { MarkedFrames } from "./marked-frames.ts";

/** VP8 from RTP (RFC 7741): partitions with a descriptor each, a frame ending at the marker. */
export class Vp8Depacketizer extends MarkedFrames {
  /**
   * RFC 7741 §4.2:
   *
   *     |X|R|N|S|R| PID |   then with X: |I|L|T|K|RSV|, picture id (1 or 2 bytes), TL0PICIDX, TID/KEYIDX
   */
  protected override take(payload: Uint8Array): void {
    const length = descriptorLength(payload);
    const isStart = (payload[0]! & 0x17) === 0x10;
    // A frame can only begin with the first packet of partition 0.
    if (length >= payload.length || (!this.isBegun && !isStart)) return this.discard();
    this.hold(payload.subarray(length));
  }

  /** The frame tag's lowest bit is 0 for a key frame (RFC 6386 §9.1). */
  protected override finish(data: Uint8Array): void {
    this.emitFrame(data, (data[0]! & 1) === 0);
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
