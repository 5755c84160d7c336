/** Bytes of the RTCP header that stay in the clear (RFC 3711 §3.4). */
export const rtcpClearBytes = 8;
/** 31-bit index with the E bit in front. */
export const srtcpIndexBytes = 4;
export const gcmTagBytes = 16;
export const sha1TagBytes = 10;

/** Longest RTP header a sender may pass: fixed part, 15 CSRCs, 64 bytes of extensions. */
export const maxRtpHeaderBytes = 12 + 60 + 4 + 64;

/** Length of the header at `at` with CSRCs and extension, or 0 when the packet ends before it does. */
export function rtpHeaderLength(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 12) return 0;
  let length = 12 + (bytes[at]! & 15) * 4;
  if (bytes[at]! & 0x10) {
    if (end - at < length + 4) return 0;
    length += 4 + ((bytes[at + length + 2]! << 8) | bytes[at + length + 3]!) * 4;
  }
  return length <= end - at && length <= maxRtpHeaderBytes ? length : 0;
}

/** Copies the header and writes the viewer's payload type, sequence number and SSRC into the copy. */
export function rewriteRtpHeader(
  source: Uint8Array,
  from: number,
  length: number,
  out: DataView,
  at: number,
  payloadType: number,
  sequence: number,
  ssrc: number,
): void {
  const second = (source[from + 1]! & 0x80) | payloadType;
  out.setUint32(at, (source[from]! << 24) | (second << 16) | (sequence & 0xffff));
  for (let i = 4; i < 8; i++) out.setUint8(at + i, source[from + i]!);
  out.setUint32(at + 8, ssrc);
  for (let i = 12; i < length; i++) out.setUint8(at + i, source[from + i]!);
}

/** Puts a header extension behind the header of `length` bytes at `at`, and marks it (RFC 3550 §5.3.1). */
export function appendExtension(extension: Uint8Array, out: Uint8Array, at: number, length: number): void {
  out[at]! |= 0x10;
  for (let i = 0; i < extension.length; i++) out[at + length + i] = extension[i]!;
}

export function writeU32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Writes an IV: for GCM 12 bytes `00 00 | SSRC | index`, for CM 16 bytes `00 00 00 00 | SSRC | index | 00 00`, each XORed
 * with the salt (RFC 7714 §8.1, §9.1; RFC 3711 §4.1.1). `index` has 48 bits.
 */
export function writeIv(out: Uint8Array, at: number, salt: Uint8Array, ssrc: number, index: number): void {
  const isGcm = salt.length === 12;
  const ssrcAt = at + (isGcm ? 2 : 4);
  const high = Math.floor(index / 0x1_0000_0000);
  const low = index >>> 0;
  for (let i = 0; i < salt.length; i++) out[at + i] = salt[i]!;
  if (!isGcm) out[at + 14] = out[at + 15] = 0;
  out[ssrcAt]! ^= ssrc >>> 24;
  out[ssrcAt + 1]! ^= ssrc >>> 16;
  out[ssrcAt + 2]! ^= ssrc >>> 8;
  out[ssrcAt + 3]! ^= ssrc;
  out[ssrcAt + 4]! ^= high >>> 8;
  out[ssrcAt + 5]! ^= high;
  out[ssrcAt + 6]! ^= low >>> 24;
  out[ssrcAt + 7]! ^= low >>> 16;
  out[ssrcAt + 8]! ^= low >>> 8;
  out[ssrcAt + 9]! ^= low;
}
