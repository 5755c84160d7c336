import { ProtocolError } from "../flow/errors.ts";

/** Bytes in front of every payload. */
export const ovtHeaderLength = 18;
/** The largest payload of one packet: every OvenMediaEngine since 0.12.7 sends and takes up to this. */
export const ovtMaxPayload = 32_750;

/** What a packet carries. */
export const ovtPayloadType = { request: 10, response: 20, media: 30 } as const;

/**
 * ```
 *  byte 0         1       2–3     4–11      12–15    16–17
 * +--+-+-----+--------+--------+---------+--------+--------+
 * |01|M|rrrrr|  type  |sequence|timestamp| session| length | payload…
 * +--+-+-----+--------+--------+---------+--------+--------+
 * ```
 */
export interface OvtHeader {
  /** Last packet of a message or media packet. */
  readonly isLast: boolean;
  readonly payloadType: number;
  /** 16 bits, wraps. */
  readonly sequence: number;
  /** Messages: Unix ms. Media: the PTS in ticks of its track. A safe integer. */
  readonly timestamp: number;
  readonly sessionId: number;
  /** At most {@link ovtMaxPayload}. */
  readonly payloadLength: number;
}

const truncated = (): ProtocolError => new ProtocolError("OVT_TRUNCATED", "an OVT header has 18 bytes");

/**
 * The payload length of the header at `at`, after checking what makes a header unusable. The whole check of the hot path.
 * @throws {ProtocolError} on an unknown version or an oversized payload; framing is lost then
 */
export function checkOvtHeader(bytes: Uint8Array, at: number): number {
  if (at + ovtHeaderLength > bytes.length) throw truncated();
  if (bytes[at]! >> 6 !== 1) throw new ProtocolError("OVT_BAD_VERSION", "the packet is not OVT version 1");
  const payloadLength = (bytes[at + 16]! << 8) | bytes[at + 17]!;
  if (payloadLength > ovtMaxPayload) {
    throw new ProtocolError(
      "OVT_PAYLOAD_LENGTH",
      `a payload of ${payloadLength} bytes is longer than ${ovtMaxPayload}`,
    );
  }
  return payloadLength;
}

/** @throws {ProtocolError} as {@link checkOvtHeader}, and on a timestamp that is no safe integer */
export function parseOvtHeader(bytes: Uint8Array): OvtHeader {
  const payloadLength = checkOvtHeader(bytes, 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    isLast: (bytes[0]! & 0x20) !== 0,
    payloadType: bytes[1]!,
    sequence: view.getUint16(2),
    timestamp: getSafeInt64(view, 4),
    sessionId: view.getUint32(12),
    payloadLength,
  };
}

/** Inverse of {@link parseOvtHeader}: writes 18 bytes at `at`. */
export function writeOvtHeader(view: DataView, at: number, header: OvtHeader): void {
  view.setUint8(at, header.isLast ? 0x60 : 0x40);
  view.setUint8(at + 1, header.payloadType);
  view.setUint16(at + 2, header.sequence & 0xffff);
  setSafeInt64(view, at + 4, header.timestamp);
  view.setUint32(at + 12, header.sessionId);
  view.setUint16(at + 16, header.payloadLength);
}

/** An int64 as a number, without a BigInt per field. @throws {ProtocolError} beyond ±(2⁵³ − 1) */
export function getSafeInt64(view: DataView, at: number): number {
  const value = view.getInt32(at) * 4_294_967_296 + view.getUint32(at + 4);
  if (!Number.isSafeInteger(value)) throw new ProtocolError("OVT_TIMESTAMP", "a timestamp is out of range");
  return value;
}

export function setSafeInt64(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / 4_294_967_296);
  view.setInt32(at, high);
  view.setUint32(at + 4, value - high * 4_294_967_296);
}

/** How the packets of one body are labelled. */
export interface OvtLabel {
  readonly payloadType: number;
  /** Of the first packet; the following ones count up. */
  readonly sequence: number;
  readonly timestamp: number;
  readonly sessionId: number;
}

/** How many packets a body of `length` bytes takes. */
export function ovtPacketCount(length: number, maxPayload: number = ovtMaxPayload): number {
  return Math.max(1, Math.ceil(length / maxPayload));
}

/**
 * Cuts the body that lies in `parts` into packets, all in one buffer, so that one write sends them.
 * @param maxPayload smaller pieces are legal too; tests use them
 */
export function serializeOvtPackets(
  parts: readonly Uint8Array[],
  label: OvtLabel,
  maxPayload: number = ovtMaxPayload,
): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const count = ovtPacketCount(length, maxPayload);
  const out = Buffer.allocUnsafe(length + count * ovtHeaderLength);
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  let at = 0;
  let room = 0;
  let index = 0;
  let left = length;
  const openPacket = (): void => {
    room = Math.min(left, maxPayload);
    left -= room;
    const sequence = label.sequence + index++;
    writeOvtHeader(view, at, { ...label, isLast: left === 0, sequence, payloadLength: room });
    at += ovtHeaderLength;
  };
  openPacket();
  for (const part of parts) {
    for (let from = 0; from < part.length;) {
      if (room === 0) openPacket();
      const take = Math.min(room, part.length - from);
      out.set(take === part.length ? part : part.subarray(from, from + take), at);
      at += take;
      from += take;
      room -= take;
    }
  }
  return out;
}
