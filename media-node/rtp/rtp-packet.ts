import { ByteReader } from "../bytes/byte-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

/**
 * An RTP packet (RFC 3550 §5.1).
 *
 *      0                   1                   2                   3
 *     |V=2|P|X|  CC   |M|     PT      |       sequence number         |
 *     |                           timestamp                           |
 *     |                             SSRC                              |
 *     |               CSRC × CC, extension when X                     |
 */
export interface RtpPacket {
  readonly marker: boolean;
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  /** Without CSRCs, extension and padding: a view into the packet. */
  readonly payload: Uint8Array;
}

/** @throws {ProtocolError} when a length field points past the end */
export function parseRtpPacket(bytes: Uint8Array): RtpPacket {
  const reader = new ByteReader(bytes, () => new ProtocolError("RTP_TRUNCATED", "the RTP packet ends early"));
  const first = reader.u8();
  if (first >> 6 !== 2) throw new ProtocolError("RTP_VERSION", `RTP version ${first >> 6}`);
  const second = reader.u8();
  const sequence = reader.u16();
  const timestamp = reader.u32();
  const ssrc = reader.u32();
  reader.skip((first & 15) * 4);
  if (first & 0x10) {
    reader.skip(2);
    reader.skip(reader.u16() * 4);
  }
  const padding = first & 0x20 ? (bytes.at(-1) ?? 0) : 0;
  if (first & 0x20 && (padding === 0 || padding > reader.remaining)) {
    throw new ProtocolError("RTP_PADDING", "the RTP packet's padding is longer than its payload");
  }
  return {
    marker: second >= 0x80,
    payloadType: second & 0x7f,
    sequence,
    timestamp,
    ssrc,
    payload: reader.take(reader.remaining - padding),
  };
}
