import { ProtocolError } from "../flow/errors.ts";

/**
 * One binary packet between RTSP messages (RFC 2326 §10.12).
 *
 *     |  '$'  | channel |     length    | payload …
 */
export interface InterleavedFrame {
  readonly channel: number;
  readonly payload: Uint8Array;
}

export const interleavedMagic = 0x24;
export const interleavedHeaderLength = 4;

/**
 * Parses one whole frame.
 * @returns `payload` as a view into `bytes`
 * @throws {ProtocolError} when the frame does not hold what its length field announces
 */
export function parseInterleavedFrame(bytes: Uint8Array): InterleavedFrame {
  const length = bytes.length < interleavedHeaderLength ? Number.NaN : (bytes[2]! << 8) | bytes[3]!;
  if (bytes[0] !== interleavedMagic || bytes.length !== interleavedHeaderLength + length) {
    throw new ProtocolError("RTSP_INTERLEAVED", "an interleaved frame is not as long as it says");
  }
  return { channel: bytes[1]!, payload: bytes.subarray(interleavedHeaderLength) };
}

/** Inverse of {@link parseInterleavedFrame}. */
export function serializeInterleavedFrame({ channel, payload }: InterleavedFrame): Uint8Array {
  if (payload.length > 0xffff) throw new ProtocolError("RTSP_INTERLEAVED", "an interleaved frame holds 65535 bytes");
  const bytes = new Uint8Array(interleavedHeaderLength + payload.length);
  bytes[0] = interleavedMagic;
  bytes[1] = channel;
  bytes[2] = payload.length >> 8;
  bytes[3] = payload.length & 0xff;
  bytes.set(payload, interleavedHeaderLength);
  return bytes;
}
