import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  timingSafeEqual,
  type Cipheriv,
  type KeyObject,
} from "node:crypto";
import type { Slab } from "../native/slab.ts";
import { maxPacketBytes } from "./packet-outlet.ts";
import { ReplayWindows } from "./replay-window.ts";
import type { SrtpContext, SrtpCrypto } from "./srtp-context.ts";
import { srtpProfiles, type SrtpSessionKey, type SrtpSessionKeys } from "./srtp-keys.ts";
import { gcmTagBytes, readU32, rtcpClearBytes, sha1TagBytes, srtcpIndexBytes, writeIv, writeU32 } from "./srtp-wire.ts";

/** SRTP with `node:crypto` alone: for runtimes without FFI, and the yardstick that the fast tier is tested against. */
export const portableSrtp: SrtpCrypto = {
  name: "portable",
  // GCM takes a new cipher for each packet, which CM does without.
  preferred: srtpProfiles.aes128CmSha1,
  open: (keys) => (keys.profile === srtpProfiles.aes128Gcm ? new GcmContext(keys) : new CmContext(keys)),
  close() {},
};

/** Key objects: given plain bytes, `node:crypto` makes one for each packet, which costs more than the packet. */
interface PreparedKey {
  readonly key: KeyObject;
  readonly authKey: KeyObject;
  readonly salt: Uint8Array;
}

function prepare({ key, authKey, salt }: SrtpSessionKey): PreparedKey {
  const prepared = { key: createSecretKey(key), authKey: createSecretKey(authKey), salt };
  key.fill(0);
  authKey.fill(0);
  return prepared;
}

abstract class PortableContext implements SrtpContext {
  protected readonly rtp: PreparedKey;
  protected readonly rtcpOut: PreparedKey;
  protected readonly rtcpIn: PreparedKey;
  readonly #replay = new ReplayWindows();
  #rtcpIndex = 0;
  #isClosed = false;

  constructor(keys: SrtpSessionKeys) {
    this.rtp = prepare(keys.rtpOut);
    this.rtcpOut = prepare(keys.rtcpOut);
    this.rtcpIn = prepare(keys.rtcpIn);
  }

  abstract protectRtp(
    source: Uint8Array,
    payloadAt: number,
    payloadLength: number,
    out: Slab,
    at: number,
    headerLength: number,
    ssrc: number,
    packetIndex: number,
  ): number;

  protectRtcp(packet: Uint8Array, out: Slab, at: number): number {
    this.#rtcpIndex = (this.#rtcpIndex + 1) % 0x8000_0000;
    const sealed = this.seal(packet, this.#rtcpIndex);
    out.bytes.set(sealed, at);
    return sealed.length;
  }

  unprotectRtcp(packet: Uint8Array): Uint8Array | undefined {
    const index = this.indexOf(packet);
    if (index === undefined || this.#isClosed) return undefined;
    const ssrc = readU32(packet, 4);
    if (!this.#replay.mayCome(ssrc, index)) return undefined;
    const plain = this.openSealed(packet, index);
    if (plain) this.#replay.accept(ssrc, index);
    return plain;
  }

  close(): void {
    this.#isClosed = true;
  }

  protected abstract seal(packet: Uint8Array, index: number): Uint8Array;
  /** `undefined` when the packet is too short or not encrypted. */
  protected abstract indexOf(packet: Uint8Array): number | undefined;
  protected abstract openSealed(packet: Uint8Array, index: number): Uint8Array | undefined;
}

class GcmContext extends PortableContext {
  readonly #iv = new Uint8Array(12);

  protectRtp(
    source: Uint8Array,
    payloadAt: number,
    payloadLength: number,
    out: Slab,
    at: number,
    headerLength: number,
    ssrc: number,
    packetIndex: number,
  ): number {
    writeIv(this.#iv, 0, this.rtp.salt, ssrc, packetIndex);
    const cipher = createCipheriv("aes-128-gcm", this.rtp.key, this.#iv);
    cipher.setAAD(out.bytes.subarray(at, at + headerLength));
    out.bytes.set(cipher.update(source.subarray(payloadAt, payloadAt + payloadLength)), at + headerLength);
    cipher.final();
    out.bytes.set(cipher.getAuthTag(), at + headerLength + payloadLength);
    return headerLength + payloadLength + gcmTagBytes;
  }

  // | header, SSRC (8) | ciphertext | tag (16) | E, index (4) |   RFC 7714 §9.2
  protected seal(packet: Uint8Array, index: number): Uint8Array {
    const sealed = new Uint8Array(packet.length + gcmTagBytes + srtcpIndexBytes);
    writeU32(sealed, packet.length + gcmTagBytes, 0x8000_0000 + index);
    writeIv(this.#iv, 0, this.rtcpOut.salt, readU32(packet, 4), index);
    const cipher = createCipheriv("aes-128-gcm", this.rtcpOut.key, this.#iv);
    cipher.setAAD(Buffer.concat([packet.subarray(0, rtcpClearBytes), sealed.subarray(packet.length + gcmTagBytes)]));
    sealed.set(packet.subarray(0, rtcpClearBytes));
    sealed.set(cipher.update(packet.subarray(rtcpClearBytes)), rtcpClearBytes);
    cipher.final();
    sealed.set(cipher.getAuthTag(), packet.length);
    return sealed;
  }

  protected indexOf(packet: Uint8Array): number | undefined {
    if (packet.length < rtcpClearBytes + gcmTagBytes + srtcpIndexBytes) return undefined;
    const word = readU32(packet, packet.length - srtcpIndexBytes);
    return word >= 0x8000_0000 ? word - 0x8000_0000 : undefined;
  }

  protected openSealed(packet: Uint8Array, index: number): Uint8Array | undefined {
    const tagAt = packet.length - srtcpIndexBytes - gcmTagBytes;
    writeIv(this.#iv, 0, this.rtcpIn.salt, readU32(packet, 4), index);
    const decipher = createDecipheriv("aes-128-gcm", this.rtcpIn.key, this.#iv);
    decipher.setAAD(Buffer.concat([packet.subarray(0, rtcpClearBytes), packet.subarray(-srtcpIndexBytes)]));
    decipher.setAuthTag(packet.subarray(tagAt, tagAt + gcmTagBytes));
    const plain = decipher.update(packet.subarray(rtcpClearBytes, tagAt));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return Buffer.concat([packet.subarray(0, rtcpClearBytes), plain]);
  }
}

const blockBytes = 16;
/** SHA-1's, which is also how much of its key HMAC begins with. */
const hashBlockBytes = 64;
const sha1Bytes = 20;

// Scratch of this thread: everything below runs to its end before another packet comes.
const counters = new Uint8Array(Math.ceil(maxPacketBytes / blockBytes) * blockBytes);
const counterView = new DataView(counters.buffer);
/** Inner key block, packet, ROC. */
const signed = new Uint8Array(hashBlockBytes + maxPacketBytes + 4);
const signedView = new DataView(signed.buffer);
/** Outer key block, inner digest. */
const outer = new Uint8Array(hashBlockBytes + sha1Bytes);

/**
 * Objects of `node:crypto` cost more than the bytes they work on, so there is none for a packet: the key stream of AES-CM is
 * the encryption of its counter blocks, by one cipher that lives as long as the viewer, and HMAC is two hashes.
 */
class CmContext extends PortableContext {
  readonly #iv = new Uint8Array(blockBytes);
  readonly #blocks: Cipheriv;
  readonly #salt: DataView;
  readonly #innerKey = new Uint8Array(hashBlockBytes).fill(0x36);
  readonly #outerKey = new Uint8Array(hashBlockBytes).fill(0x5c);
  #source: Uint8Array | undefined;
  #sourceView: DataView = counterView;

  constructor(keys: SrtpSessionKeys) {
    const authKey = Uint8Array.from(keys.rtpOut.authKey);
    super(keys);
    for (const [i, byte] of authKey.entries()) {
      this.#innerKey[i]! ^= byte;
      this.#outerKey[i]! ^= byte;
    }
    authKey.fill(0);
    this.#blocks = createCipheriv("aes-128-ecb", this.rtp.key, null).setAutoPadding(false);
    const salt = new Uint8Array(blockBytes);
    salt.set(this.rtp.salt);
    this.#salt = new DataView(salt.buffer);
  }

  protectRtp(
    source: Uint8Array,
    payloadAt: number,
    payloadLength: number,
    out: Slab,
    at: number,
    headerLength: number,
    ssrc: number,
    packetIndex: number,
  ): number {
    const length = headerLength + payloadLength;
    const keyStream = this.#keyStream(ssrc, packetIndex, payloadLength);
    signed.set(this.#innerKey);
    for (let i = 0; i < headerLength; i++) signed[hashBlockBytes + i] = out.bytes[at + i]!;
    this.#encrypt(source, payloadAt, payloadLength, keyStream, hashBlockBytes + headerLength);
    const end = hashBlockBytes + length;
    signedView.setUint32(end, Math.floor(packetIndex / 0x1_0000));
    outer.set(this.#outerKey);
    // As text, a byte a character: a buffer for 20 bytes costs more than hashing a block.
    const inner = hash("sha1", signed.subarray(0, end + 4), "binary");
    for (let i = 0; i < sha1Bytes; i++) outer[hashBlockBytes + i] = inner.charCodeAt(i);
    const tag = hash("sha1", outer, "binary");
    out.bytes.set(signed.subarray(hashBlockBytes + headerLength, end), at + headerLength);
    for (let i = 0; i < sha1TagBytes; i++) out.bytes[at + length + i] = tag.charCodeAt(i);
    return length + sha1TagBytes;
  }

  override close(): void {
    super.close();
    this.#innerKey.fill(0);
    this.#outerKey.fill(0);
  }

  /** RFC 3711 §4.1.1, at least `length` bytes of it. */
  #keyStream(ssrc: number, packetIndex: number, length: number): Buffer {
    const salt = this.#salt;
    const first = salt.getUint32(0);
    const second = salt.getUint32(4) ^ ssrc;
    const third = salt.getUint32(8) ^ Math.floor(packetIndex / 0x1_0000);
    const fourth = salt.getUint32(12) ^ (packetIndex << 16);
    const bytes = Math.ceil(length / blockBytes) * blockBytes;
    for (let block = 0; block < bytes; block += blockBytes) {
      counterView.setUint32(block, first);
      counterView.setUint32(block + 4, second);
      counterView.setUint32(block + 8, third);
      counterView.setUint32(block + 12, fourth + block / blockBytes);
    }
    return this.#blocks.update(counters.subarray(0, bytes));
  }

  #encrypt(source: Uint8Array, from: number, length: number, keyStream: Buffer, to: number): void {
    if (source !== this.#source) {
      this.#source = source;
      this.#sourceView = new DataView(source.buffer, source.byteOffset, source.byteLength);
    }
    const plain = this.#sourceView;
    const stream = new DataView(keyStream.buffer, keyStream.byteOffset, keyStream.byteLength);
    const words = length & ~3;
    for (let i = 0; i < words; i += 4) signedView.setUint32(to + i, plain.getUint32(from + i) ^ stream.getUint32(i));
    for (let i = words; i < length; i++) signed[to + i] = source[from + i]! ^ keyStream[i]!;
  }

  // | header, SSRC (8) | ciphertext | E, index (4) | tag (10) |   RFC 3711 §3.4
  protected seal(packet: Uint8Array, index: number): Uint8Array {
    const sealed = new Uint8Array(packet.length + srtcpIndexBytes + sha1TagBytes);
    sealed.set(packet.subarray(0, rtcpClearBytes));
    sealed.set(this.#crypt(this.rtcpOut, packet, packet.length, index), rtcpClearBytes);
    writeU32(sealed, packet.length, 0x8000_0000 + index);
    const signed = sealed.subarray(0, packet.length + srtcpIndexBytes);
    const tag = createHmac("sha1", this.rtcpOut.authKey).update(signed).digest();
    sealed.set(tag.subarray(0, sha1TagBytes), signed.length);
    return sealed;
  }

  protected indexOf(packet: Uint8Array): number | undefined {
    if (packet.length < rtcpClearBytes + srtcpIndexBytes + sha1TagBytes) return undefined;
    const word = readU32(packet, packet.length - sha1TagBytes - srtcpIndexBytes);
    return word >= 0x8000_0000 ? word - 0x8000_0000 : undefined;
  }

  protected openSealed(packet: Uint8Array, index: number): Uint8Array | undefined {
    const tagAt = packet.length - sha1TagBytes;
    const tag = createHmac("sha1", this.rtcpIn.authKey).update(packet.subarray(0, tagAt)).digest();
    if (!timingSafeEqual(tag.subarray(0, sha1TagBytes), packet.subarray(tagAt))) return undefined;
    const end = tagAt - srtcpIndexBytes;
    return Buffer.concat([packet.subarray(0, rtcpClearBytes), this.#crypt(this.rtcpIn, packet, end, index)]);
  }

  #crypt({ key, salt }: PreparedKey, packet: Uint8Array, end: number, index: number): Uint8Array {
    writeIv(this.#iv, 0, salt, readU32(packet, 4), index);
    return createCipheriv("aes-128-ctr", key, this.#iv).update(packet.subarray(rtcpClearBytes, end));
  }
}
