import { timingSafeEqual } from "node:crypto";
import { ReplayWindows } from "../transport/replay-window.ts";
import type { SrtpContext, SrtpCrypto } from "../transport/srtp-context.ts";
import { srtpProfiles, type SrtpSessionKey, type SrtpSessionKeys } from "../transport/srtp-keys.ts";
import {
  gcmTagBytes,
  readU32,
  rtcpClearBytes,
  sha1TagBytes,
  srtcpIndexBytes,
  writeIv,
  writeU32,
} from "../transport/srtp-wire.ts";
import type { Evp, NativeLibrary } from "./library.ts";
import { NativeRows, type NativeRow, type NativeSlab, type Slab } from "./slab.ts";

// EVP_CIPHER_CTX_ctrl numbers (openssl/evp.h)
const gcmGetTag = 0x10;
const gcmSetTag = 0x11;
/** OSSL_PARAM_OCTET_STRING (openssl/core.h). */
const paramOctetString = 5;

// Scratch layout of one EvpSrtp.
const ivAt = 0;
const aadAt = 16;
const keyAt = 32;
const tagAt = 48;
const outLengthAt = 64;
const digestAt = 96;
/** A SHA_CTX: five state words, two length words, 16 data words, one count; 96 bytes. */
const shaAt = 128;
const shaWords = 5;
/** What HMAC's outer hash covers after its key: the inner digest, and padding that never changes. */
const outerBlockAt = 256;
const tagParamAt = 320;
const tagNameAt = 400;
const inAt = 512;
const plainAt = inAt + 2048;
const scratchBytes = plainAt + 2048;
/** Longer RTCP than an Ethernet frame is not RTCP we asked for. */
const maxRtcpBytes = 1500;

/**
 * SRTP by the OpenSSL inside the process: no objects, no copies; the payload goes from the batch straight into the
 * sender's slab. HMAC-SHA1 continues from two prepared states per key, which saves two of four compressions, and pads in
 * place, so that a packet is hashed by two calls. Native calls are the larger part of a packet's cost above the cipher's own.
 */
export class EvpSrtp implements SrtpCrypto {
  readonly name = "ffi";
  readonly preferred = srtpProfiles.aes128Gcm;
  readonly evp: Evp;
  readonly scratch: NativeSlab;
  readonly gcm: number;
  readonly ctr: number;
  /** Re-keyed for each RTCP packet: a key schedule costs less than a context per viewer and direction. */
  readonly rtcpCipher: number;
  readonly rows: NativeRows;
  readonly #addressOf: (buffer: ArrayBufferLike) => number;
  #source: Uint8Array | undefined;
  #sourceAddress = 0;

  constructor(library: NativeLibrary, evp: Evp) {
    this.evp = evp;
    this.scratch = library.newSlab(scratchBytes);
    this.gcm = evp.EVP_aes_128_gcm();
    this.ctr = evp.EVP_aes_128_ctr();
    this.rtcpCipher = evp.EVP_CIPHER_CTX_new();
    this.rows = new NativeRows(6 * shaWords * 4, library.newSlab);
    this.#addressOf = library.addressOf;
    this.#prepareScratch();
  }

  open(keys: SrtpSessionKeys): SrtpContext {
    return keys.profile === srtpProfiles.aes128Gcm ? new GcmContext(this, keys) : new CmContext(this, keys);
  }

  /** Batches repeat their bytes, so their address is asked for once; holding them keeps the address true. */
  addressOf(bytes: Uint8Array): number {
    if (bytes !== this.#source) {
      this.#source = bytes;
      this.#sourceAddress = this.#addressOf(bytes.buffer) + bytes.byteOffset;
    }
    return this.#sourceAddress;
  }

  newCipher(cipher: number, key: Uint8Array): number {
    const context = this.evp.EVP_CIPHER_CTX_new();
    this.scratch.bytes.set(key, keyAt);
    this.evp.EVP_EncryptInit_ex(context, cipher, 0, this.scratch.address + keyAt, 0);
    this.scratch.bytes.fill(0, keyAt, keyAt + 16);
    return context;
  }

  /** Writes the GCM tag of a finished packet to `address`, without the search that the control call of that name does. */
  getTag(cipher: number, address: number): void {
    this.scratch.setPointer(tagParamAt + 16, address);
    this.evp.EVP_CIPHER_CTX_get_params(cipher, this.scratch.address + tagParamAt);
  }

  #prepareScratch(): void {
    const { scratch } = this;
    // An array of one OSSL_PARAM (openssl/core.h): name, type, data, size, size returned; ended by one of zeros.
    scratch.bytes.set(Buffer.from("tag\0"), tagNameAt);
    scratch.setPointer(tagParamAt, scratch.address + tagNameAt);
    scratch.u32[(tagParamAt + 8) >> 2] = paramOctetString;
    scratch.setPointer(tagParamAt + 24, gcmTagBytes);
    scratch.bytes[outerBlockAt + 20] = 0x80;
    scratch.view.setUint32(outerBlockAt + 60, (64 + 20) * 8);
    this.evp.SHA1_Init(scratch.address + shaAt);
  }

  close(): void {
    this.evp.EVP_CIPHER_CTX_free(this.rtcpCipher);
    this.rows.release();
    this.scratch.release();
    this.#source = undefined;
  }
}

abstract class EvpContext implements SrtpContext {
  protected readonly srtp: EvpSrtp;
  /** The RTP salt as big-endian words, where the IV has them. */
  readonly #salt: readonly [number, number, number, number];
  protected readonly rtcpOut: SrtpSessionKey;
  protected readonly rtcpIn: SrtpSessionKey;
  protected cipher: number;
  readonly #replay = new ReplayWindows();
  #rtcpIndex = 0;

  constructor(srtp: EvpSrtp, cipher: number, keys: SrtpSessionKeys) {
    this.srtp = srtp;
    const salt = new DataView(new ArrayBuffer(16));
    new Uint8Array(salt.buffer).set(keys.rtpOut.salt);
    this.#salt = [salt.getUint32(0), salt.getUint32(4), salt.getUint32(8), salt.getUint32(12)];
    this.rtcpOut = keys.rtcpOut;
    this.rtcpIn = keys.rtcpIn;
    this.cipher = srtp.newCipher(cipher, keys.rtpOut.key);
    keys.rtpOut.key.fill(0);
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
    if (this.cipher === 0 || packet.length < rtcpClearBytes || packet.length > maxRtcpBytes) return 0;
    this.#rtcpIndex = (this.#rtcpIndex + 1) % 0x8000_0000;
    return this.seal(packet, this.#rtcpIndex, out, at);
  }

  unprotectRtcp(packet: Uint8Array): Uint8Array | undefined {
    const trailer = this.trailerBytes;
    if (this.cipher === 0 || packet.length < rtcpClearBytes + trailer || packet.length > maxRtcpBytes) return undefined;
    const word = readU32(packet, packet.length - this.indexFromEnd);
    const index = word - 0x8000_0000;
    const ssrc = readU32(packet, 4);
    if (index < 0 || !this.#replay.mayCome(ssrc, index)) return undefined;
    const { bytes } = this.srtp.scratch;
    bytes.set(packet, inAt);
    if (!this.openSealed(packet.length, ssrc, index)) return undefined;
    this.#replay.accept(ssrc, index);
    bytes.copyWithin(plainAt, inAt, inAt + rtcpClearBytes);
    return bytes.subarray(plainAt, plainAt + packet.length - trailer);
  }

  close(): void {
    if (this.cipher === 0) return;
    this.srtp.evp.EVP_CIPHER_CTX_free(this.cipher);
    this.cipher = 0;
    for (const { key, authKey } of [this.rtcpOut, this.rtcpIn]) {
      key.fill(0);
      authKey.fill(0);
    }
  }

  protected abstract readonly trailerBytes: number;
  protected abstract readonly indexFromEnd: number;
  protected abstract seal(packet: Uint8Array, index: number, out: Slab, at: number): number;
  /** The packet stands at {@link inAt}; its plain text goes behind the clear bytes of {@link plainAt}. */
  protected abstract openSealed(length: number, ssrc: number, index: number): boolean;

  /** As `writeIv` does, in three steps: the hot path's (RFC 7714 §8.1). */
  protected writeGcmIv(view: DataView, ssrc: number, index: number): void {
    const salt = this.#salt;
    view.setUint32(ivAt, salt[0] ^ (ssrc >>> 16));
    view.setUint32(ivAt + 4, salt[1] ^ ((ssrc << 16) | Math.floor(index / 0x1_0000_0000)));
    view.setUint32(ivAt + 8, salt[2] ^ index);
  }

  /** RFC 3711 §4.1.1. */
  protected writeCmIv(view: DataView, ssrc: number, index: number): void {
    const salt = this.#salt;
    view.setUint32(ivAt, salt[0]);
    view.setUint32(ivAt + 4, salt[1] ^ ssrc);
    view.setUint32(ivAt + 8, salt[2] ^ Math.floor(index / 0x1_0000));
    view.setUint32(ivAt + 12, salt[3] ^ (index << 16));
  }

  /** Starts the shared RTCP cipher with this key and the IV at {@link ivAt}. */
  protected startRtcp(cipher: number, key: Uint8Array, isDecrypting: boolean): void {
    const { evp, scratch, rtcpCipher } = this.srtp;
    scratch.bytes.set(key, keyAt);
    const start = isDecrypting ? evp.EVP_DecryptInit_ex : evp.EVP_EncryptInit_ex;
    start(rtcpCipher, cipher, 0, scratch.address + keyAt, scratch.address + ivAt);
    scratch.bytes.fill(0, keyAt, keyAt + 16);
  }
}

class GcmContext extends EvpContext {
  protected readonly trailerBytes = gcmTagBytes + srtcpIndexBytes;
  protected readonly indexFromEnd = srtcpIndexBytes;

  constructor(srtp: EvpSrtp, keys: SrtpSessionKeys) {
    super(srtp, srtp.gcm, keys);
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
    const { cipher } = this;
    if (cipher === 0) return 0;
    const { evp, scratch } = this.srtp;
    const packet = out.address + at;
    const payload = packet + headerLength;
    this.writeGcmIv(scratch.view, ssrc, packetIndex);
    evp.EVP_EncryptInit_ex(cipher, 0, 0, 0, scratch.address + ivAt);
    // Header as additional data, payload, end: told apart by which addresses are 0.
    evp.EVP_Cipher(cipher, 0, packet, headerLength);
    evp.EVP_Cipher(cipher, payload, this.srtp.addressOf(source) + payloadAt, payloadLength);
    evp.EVP_Cipher(cipher, 0, 0, 0);
    this.srtp.getTag(cipher, payload + payloadLength);
    return headerLength + payloadLength + gcmTagBytes;
  }

  // | header, SSRC (8) | ciphertext | tag (16) | E, index (4) |   RFC 7714 §9.2
  protected seal(packet: Uint8Array, index: number, out: Slab, at: number): number {
    const { evp, scratch, rtcpCipher, gcm } = this.srtp;
    const { bytes, address } = scratch;
    const bodyLength = packet.length - rtcpClearBytes;
    const tag = at + packet.length;
    bytes.set(packet, inAt);
    out.bytes.set(packet.subarray(0, rtcpClearBytes), at);
    writeIv(bytes, ivAt, this.rtcpOut.salt, readU32(packet, 4), index);
    bytes.set(packet.subarray(0, rtcpClearBytes), aadAt);
    writeU32(bytes, aadAt + rtcpClearBytes, 0x8000_0000 + index);
    this.startRtcp(gcm, this.rtcpOut.key, false);
    evp.EVP_EncryptUpdate(rtcpCipher, 0, address + outLengthAt, address + aadAt, rtcpClearBytes + srtcpIndexBytes);
    const body = out.address + at + rtcpClearBytes;
    evp.EVP_EncryptUpdate(rtcpCipher, body, address + outLengthAt, address + inAt + rtcpClearBytes, bodyLength);
    evp.EVP_EncryptFinal_ex(rtcpCipher, address + tagAt, address + outLengthAt);
    evp.EVP_CIPHER_CTX_ctrl(rtcpCipher, gcmGetTag, gcmTagBytes, out.address + tag);
    writeU32(out.bytes, tag + gcmTagBytes, 0x8000_0000 + index);
    return packet.length + gcmTagBytes + srtcpIndexBytes;
  }

  protected openSealed(length: number, ssrc: number, index: number): boolean {
    const { evp, scratch, rtcpCipher, gcm } = this.srtp;
    const { bytes, address } = scratch;
    const tag = inAt + length - srtcpIndexBytes - gcmTagBytes;
    writeIv(bytes, ivAt, this.rtcpIn.salt, ssrc, index);
    bytes.copyWithin(aadAt, inAt, inAt + rtcpClearBytes);
    writeU32(bytes, aadAt + rtcpClearBytes, 0x8000_0000 + index);
    this.startRtcp(gcm, this.rtcpIn.key, true);
    evp.EVP_DecryptUpdate(rtcpCipher, 0, address + outLengthAt, address + aadAt, rtcpClearBytes + srtcpIndexBytes);
    const from = address + inAt + rtcpClearBytes;
    const bodyLength = tag - inAt - rtcpClearBytes;
    evp.EVP_DecryptUpdate(rtcpCipher, address + plainAt + rtcpClearBytes, address + outLengthAt, from, bodyLength);
    evp.EVP_CIPHER_CTX_ctrl(rtcpCipher, gcmSetTag, gcmTagBytes, address + tag);
    const isGenuine = evp.EVP_DecryptFinal_ex(rtcpCipher, address + tagAt, address + outLengthAt) === 1;
    // A failure leaves an entry in this thread's error queue, which node:crypto would report as its own.
    if (!isGenuine) evp.ERR_clear_error();
    return isGenuine;
  }
}

// Prepared SHA-1 states in a row, in words: inner and outer, for three keys.
const rtpSha = 0;
const rtcpOutSha = 2 * shaWords;
const rtcpInSha = 4 * shaWords;

class CmContext extends EvpContext {
  protected readonly trailerBytes = srtcpIndexBytes + sha1TagBytes;
  protected readonly indexFromEnd = srtcpIndexBytes + sha1TagBytes;
  readonly #row: NativeRow;
  readonly #claimedTag = Buffer.alloc(sha1TagBytes);

  constructor(srtp: EvpSrtp, keys: SrtpSessionKeys) {
    super(srtp, srtp.ctr, keys);
    this.#row = srtp.rows.take();
    this.#prepare(rtpSha, keys.rtpOut.authKey);
    this.#prepare(rtcpOutSha, this.rtcpOut.authKey);
    this.#prepare(rtcpInSha, this.rtcpIn.authKey);
    keys.rtpOut.authKey.fill(0);
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
    const { cipher } = this;
    if (cipher === 0) return 0;
    const { evp, scratch } = this.srtp;
    const length = headerLength + payloadLength;
    const packet = out.address + at;
    this.writeCmIv(scratch.view, ssrc, packetIndex);
    evp.EVP_EncryptInit_ex(cipher, 0, 0, 0, scratch.address + ivAt);
    evp.EVP_Cipher(cipher, packet + headerLength, this.srtp.addressOf(source) + payloadAt, payloadLength);
    // The tag covers packet || ROC; the ROC stands where the tag will go.
    out.view.setUint32(at + length, Math.floor(packetIndex / 0x1_0000));
    this.#hmac(rtpSha, out, at, length + 4);
    this.#copyTag(out, at + length);
    return length + sha1TagBytes;
  }

  override close(): void {
    if (this.cipher !== 0) this.srtp.rows.giveBack(this.#row);
    super.close();
  }

  // | header, SSRC (8) | ciphertext | E, index (4) | tag (10) |   RFC 3711 §3.4
  protected seal(packet: Uint8Array, index: number, out: Slab, at: number): number {
    const { evp, scratch, rtcpCipher, ctr } = this.srtp;
    scratch.bytes.set(packet, inAt);
    out.bytes.set(packet.subarray(0, rtcpClearBytes), at);
    writeIv(scratch.bytes, ivAt, this.rtcpOut.salt, readU32(packet, 4), index);
    this.startRtcp(ctr, this.rtcpOut.key, false);
    const from = scratch.address + inAt + rtcpClearBytes;
    const body = out.address + at + rtcpClearBytes;
    const bodyLength = packet.length - rtcpClearBytes;
    evp.EVP_EncryptUpdate(rtcpCipher, body, scratch.address + outLengthAt, from, bodyLength);
    writeU32(out.bytes, at + packet.length, 0x8000_0000 + index);
    const signedLength = packet.length + srtcpIndexBytes;
    this.#hmac(rtcpOutSha, out, at, signedLength);
    this.#copyTag(out, at + signedLength);
    return signedLength + sha1TagBytes;
  }

  protected openSealed(length: number, ssrc: number, index: number): boolean {
    const { evp, scratch, rtcpCipher, ctr } = this.srtp;
    const signedLength = length - sha1TagBytes;
    // Padding takes the place of the tag.
    this.#claimedTag.set(scratch.bytes.subarray(inAt + signedLength, inAt + length));
    this.#hmac(rtcpInSha, scratch, inAt, signedLength);
    this.#copyTag(scratch, digestAt);
    if (!timingSafeEqual(this.#claimedTag, scratch.bytes.subarray(digestAt, digestAt + sha1TagBytes))) return false;
    writeIv(scratch.bytes, ivAt, this.rtcpIn.salt, ssrc, index);
    this.startRtcp(ctr, this.rtcpIn.key, false);
    const from = scratch.address + inAt + rtcpClearBytes;
    const bodyLength = signedLength - srtcpIndexBytes - rtcpClearBytes;
    const plain = scratch.address + plainAt + rtcpClearBytes;
    evp.EVP_EncryptUpdate(rtcpCipher, plain, scratch.address + outLengthAt, from, bodyLength);
    return true;
  }

  /**
   * Leaves the HMAC of `length` bytes in the state words of the scratch memory. Behind those bytes it pads them to whole
   * blocks: up to 72 bytes are lost. Hashing whole blocks needs no finishing call.
   */
  #hmac(sha: number, message: Slab, at: number, length: number): void {
    const { evp, scratch } = this.srtp;
    const state = scratch.address + shaAt;
    const padded = (length + 72) & ~63;
    const { view } = message;
    const end = at + length;
    const lastWord = at + padded - 4;
    // The mark, zeros, and how many bits there are with the key's block before them (RFC 3174 §4).
    view.setUint32(end, 0x8000_0000);
    for (let zero = end + 4; zero < lastWord; zero += 4) view.setUint32(zero, 0);
    view.setUint32(lastWord, (64 + length) * 8);
    this.#load(sha);
    evp.SHA1_Update(state, message.address + at, padded);
    const { u32 } = scratch;
    for (let i = 0; i < shaWords; i++) scratch.view.setUint32(outerBlockAt + 4 * i, u32[shaAt / 4 + i]!);
    this.#load(sha + shaWords);
    evp.SHA1_Transform(state, scratch.address + outerBlockAt);
  }

  /** The first 80 bits of what {@link #hmac} left. */
  #copyTag(out: Slab, at: number): void {
    const { u32 } = this.srtp.scratch;
    out.view.setUint32(at, u32[shaAt / 4]!);
    out.view.setUint32(at + 4, u32[shaAt / 4 + 1]!);
    out.view.setUint16(at + 8, u32[shaAt / 4 + 2]! >>> 16);
  }

  #load(sha: number): void {
    const to = this.srtp.scratch.u32;
    const { slab, at } = this.#row;
    const from = at / 4 + sha;
    for (let i = 0; i < shaWords; i++) to[shaAt / 4 + i] = slab.u32[from + i]!;
  }

  /** HMAC's inner and outer state after its first block (RFC 2104 §4). */
  #prepare(sha: number, authKey: Uint8Array): void {
    const { evp, scratch } = this.srtp;
    const state = scratch.address + shaAt;
    for (const [offset, pad] of [
      [0, 0x36],
      [shaWords, 0x5c],
    ] as const) {
      for (let i = 0; i < 64; i++) scratch.bytes[inAt + i] = (authKey[i] ?? 0) ^ pad;
      evp.SHA1_Init(state);
      evp.SHA1_Transform(state, scratch.address + inAt);
      const { slab, at } = this.#row;
      const words = scratch.u32.subarray(shaAt / 4, shaAt / 4 + shaWords);
      slab.u32.set(words, at / 4 + sha + offset);
    }
    scratch.bytes.fill(0, inAt, inAt + 64);
  }
}
