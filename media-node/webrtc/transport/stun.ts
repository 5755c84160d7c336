import { createHmac, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { ByteReader } from "../../bytes/byte-reader.ts";
import { ByteWriter } from "../../bytes/byte-writer.ts";
import { ProtocolError } from "../../flow/errors.ts";
import { parseIpv6 } from "./ip-address.ts";

/** Message types used by ICE (RFC 8489 §5): method Binding with its classes. */
export const stunTypes = {
  bindingRequest: 0x0001,
  bindingIndication: 0x0011,
  bindingSuccess: 0x0101,
  bindingError: 0x0111,
} as const;

/** Attribute types (RFC 8489 §18.3, RFC 8445 §20.1). */
export const stunAttributes = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  xorMappedAddress: 0x0020,
  priority: 0x0024,
  useCandidate: 0x0025,
  software: 0x8022,
  fingerprint: 0x8028,
  iceControlled: 0x8029,
  iceControlling: 0x802a,
} as const;

const magicCookie = 0x2112a442;
const fingerprintXor = 0x5354554e;
const headerBytes = 20;
/** A binding request fills one unfragmented datagram at most; ours and browsers' are below 200 bytes. */
const maxMessageBytes = 1280;
const maxAttributes = 32;

/**
 *     |0 0|  type (14)  |  length (16)  |
 *     |     magic cookie 0x2112A442     |
 *     |     transaction id (96)         |
 *     | attribute type  | length        | value, padded to 4 …
 */
export interface StunMessage {
  readonly type: number;
  /** 12 bytes, as hex. */
  readonly transactionId: string;
  /** First occurrence of each attribute before MESSAGE-INTEGRITY; values are views into the message. */
  readonly attributes: ReadonlyMap<number, Uint8Array>;
  /** Where MESSAGE-INTEGRITY's header stands, when there is one. */
  readonly integrityAt: number | undefined;
  readonly hasFingerprint: boolean;
}

/**
 * Parses one STUN message and checks its FINGERPRINT if present (RFC 8489 §§5, 14.7). What follows MESSAGE-INTEGRITY is
 * ignored, except FINGERPRINT (§14.5).
 * @throws {ProtocolError} when lengths do not add up or the fingerprint is wrong
 */
export function parseStun(bytes: Uint8Array): StunMessage {
  const truncated = (): ProtocolError => new ProtocolError("STUN_TRUNCATED", "the STUN message ends early");
  const reader = new ByteReader(bytes, truncated);
  const type = reader.u16();
  const length = reader.u16();
  if (type >= 0x4000 || reader.u32() !== magicCookie) throw new ProtocolError("STUN_HEADER", "not a STUN message");
  const transactionId = Buffer.from(reader.take(12)).toString("hex");
  if (length !== reader.remaining || length % 4 !== 0) throw truncated();
  if (bytes.length > maxMessageBytes) throw new ProtocolError("STUN_SIZE", "the STUN message is too long");
  const attributes = new Map<number, Uint8Array>();
  let integrityAt: number | undefined;
  let hasFingerprint = false;
  for (let count = 0; reader.remaining > 0; count++) {
    if (count === maxAttributes) throw new ProtocolError("STUN_SIZE", "the STUN message has too many attributes");
    if (hasFingerprint) throw new ProtocolError("STUN_FINGERPRINT", "an attribute after FINGERPRINT");
    const at = reader.offset;
    const attribute = reader.u16();
    const value = reader.take(reader.u16());
    reader.skip(-value.length & 3);
    if (attribute === stunAttributes.fingerprint) {
      if (value.length !== 4 || !isFingerprintTrue(bytes, at)) {
        throw new ProtocolError("STUN_FINGERPRINT", "wrong FINGERPRINT");
      }
      hasFingerprint = true;
    } else if (integrityAt === undefined) {
      if (attribute === stunAttributes.messageIntegrity) {
        if (value.length !== 20) throw new ProtocolError("STUN_INTEGRITY", "MESSAGE-INTEGRITY has 20 bytes");
        integrityAt = at;
      } else if (!attributes.has(attribute)) attributes.set(attribute, value);
    }
  }
  return { type, transactionId, attributes, integrityAt, hasFingerprint };
}

function isFingerprintTrue(bytes: Uint8Array, at: number): boolean {
  const stated = ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
  return stated === (crc32(bytes.subarray(0, at)) ^ fingerprintXor) >>> 0;
}

/** Whether `bytes`, parsed as `message`, carry MESSAGE-INTEGRITY made with `password` (RFC 8489 §14.5). Constant time. */
export function isIntegrityTrue(bytes: Uint8Array, message: StunMessage, password: string): boolean {
  const at = message.integrityAt;
  if (at === undefined) return false;
  return timingSafeEqual(integrityOf(bytes.subarray(0, at), password), bytes.subarray(at + 4, at + 24));
}

/** HMAC over the message before the attribute, with a header length as if the attribute were the last. */
function integrityOf(before: Uint8Array, password: string): Buffer {
  const header = Buffer.from(before.subarray(0, headerBytes));
  header.writeUInt16BE(before.length - headerBytes + 24, 2);
  return createHmac("sha1", password).update(header).update(before.subarray(headerBytes)).digest();
}

export type StunAttribute = readonly [type: number, value: Uint8Array];

/**
 * Serializes with MESSAGE-INTEGRITY (when a password is given) and FINGERPRINT behind the attributes.
 * @param transactionId 12 bytes, as hex
 */
export function serializeStun(
  type: number,
  transactionId: string,
  attributes: readonly StunAttribute[],
  password?: string,
): Uint8Array {
  const writer = new ByteWriter(128).u16(type).u16(0).u32(magicCookie).bytes(Buffer.from(transactionId, "hex"));
  for (const [attribute, value] of attributes) writeAttribute(writer, attribute, value);
  if (password !== undefined) {
    writeAttribute(writer, stunAttributes.messageIntegrity, integrityOf(writer.finish(), password));
  }
  const message = writer.u16(stunAttributes.fingerprint).u16(4).u32(0).finish();
  new DataView(message.buffer).setUint16(2, message.length - headerBytes);
  writer.setU32(message.length - 4, (crc32(message.subarray(0, -8)) ^ fingerprintXor) >>> 0);
  return writer.finish();
}

function writeAttribute(writer: ByteWriter, type: number, value: Uint8Array): void {
  writer.u16(type).u16(value.length).bytes(value);
  for (let i = value.length; i % 4 !== 0; i++) writer.u8(0);
}

/** XOR-MAPPED-ADDRESS (RFC 8489 §14.2). @param address IPv4 or IPv6 literal */
export function xorMappedAddress(address: string, port: number, transactionId: string): StunAttribute {
  const isV4 = !address.includes(":");
  const plain = isV4 ? Uint8Array.from(address.split("."), Number) : parseIpv6(address);
  const mask = Buffer.from(`${magicCookie.toString(16)}${transactionId}`, "hex");
  const writer = new ByteWriter(20)
    .u8(0)
    .u8(isV4 ? 1 : 2)
    .u16(port ^ (magicCookie >>> 16));
  plain.forEach((byte, i) => writer.u8(byte ^ mask[i]!));
  return [stunAttributes.xorMappedAddress, writer.finish()];
}

/** The address in XOR-MAPPED-ADDRESS, IPv6 without shortening; undefined when there is none that can be read. */
export function readXorMappedAddress({ attributes, transactionId }: StunMessage): string | undefined {
  const value = attributes.get(stunAttributes.xorMappedAddress);
  const length = value?.[1] === 1 ? 4 : value?.[1] === 2 ? 16 : undefined;
  if (!value || length === undefined || value.length !== 4 + length) return undefined;
  const mask = Buffer.from(`${magicCookie.toString(16)}${transactionId}`, "hex");
  const plain = value.subarray(4).map((byte, i) => byte ^ mask[i]!);
  if (length === 4) return plain.join(".");
  return Array.from({ length: 8 }, (_, i) => ((plain[2 * i]! << 8) | plain[2 * i + 1]!).toString(16)).join(":");
}

/** ERROR-CODE (RFC 8489 §14.8). */
export function errorCode(code: number, reason: string): StunAttribute {
  const writer = new ByteWriter(32)
    .u16(0)
    .u8(Math.floor(code / 100))
    .u8(code % 100)
    .bytes(Buffer.from(reason));
  return [stunAttributes.errorCode, writer.finish()];
}
