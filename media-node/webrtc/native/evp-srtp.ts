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

// Scratch layout of one EvpSrtp.
const ivAt = 0;
const aadAt = 16;
const keyAt = 32;
const tagAt = 48;
const outLengthAt = 64;
const digestAt = 96;
const shaAt = 128;
/** sizeof(SHA_CTX): five state words, two length words, 16 data words, one count. */
const shaBytes = 96;
const inAt = 256;
const plainAt = inAt + 2048;
const scratchBytes = plainAt + 2048;
/** Longer RTCP than an Ethernet frame is not RTCP we asked for. */
const maxRtcpBytes = 1500;

/**
 * SRTP by the OpenSSL inside the process: no objects, no copies; the payload goes from the batch straight into the
 * sender's slab. HMAC-SHA1 continues from two prepared states per key, which saves two of four compressions.
 */
export class EvpSrtp implements SrtpCrypto {
  readonly name = "ffi";
  readonly evp: Evp;
  readonly scratch: NativeSlab;
  readonly gcm: number;
  readonly ctr: number;
  /** Re-keyed for each RTCP packet: a key schedule costs less than a context per viewer and direction. */
  readonly rtcpCipher: number;
  readonly rows: NativeRows;
  readonly #addressOf: (buffer: ArrayBufferLike) => number;
  #source: ArrayBufferLike | undefined;
  #sourceAddress = 0;

  constructor(library: NativeLibrary, evp: Evp) {
    this.evp = evp;
    this.scratch = library.newSlab(scratchBytes);
    this.gcm = evp.EVP_aes_128_gcm();
    this.ctr = evp.EVP_aes_128_ctr();
    this.rtcpCipher = evp.EVP_CIPHER_CTX_new();
    this.rows = new NativeRows(6 * shaBytes, library.newSlab);
    this.#addressOf = library.addressOf;
  }

  open(keys: SrtpSessionKeys): SrtpContext {
    return keys.profile === srtpProfiles.aes128Gcm ? new GcmContext(this, keys) : new CmContext(this, keys);
  }

  /** Batches repeat their buffer, so its address is asked for once; holding the buffer keeps the address true. */
  addressOf(bytes: Uint8Array): number {
    const buffer = bytes.buffer;
    if (buffer !== this.#source) {
      this.#source = buffer;
      this.#sourceAddress = this.#addressOf(buffer);
    }
    return this.#sourceAddress + bytes.byteOffset;
  }

  newCipher(cipher: number, key: Uint8Array): number {
    const context = this.evp.EVP_CIPHER_CTX_new();
    this.scratch.bytes.set(key, keyAt);
    this.evp.EVP_EncryptInit_ex(context, cipher, 0, this.scratch.address + keyAt, 0);
    this.scratch.bytes.fill(0, keyAt, keyAt + 16);
    return context;
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
  protected readonly rtpSalt: Uint8Array;
  protected readonly rtcpOut: SrtpSessionKey;
  protected readonly rtcpIn: SrtpSessionKey;
  protected cipher: number;
  readonly #replay = new ReplayWindows();
  #rtcpIndex = 0;

  constructor(srtp: EvpSrtp, cipher: number, keys: SrtpSessionKeys) {
    this.srtp = srtp;
    this.rtpSalt = keys.rtpOut.salt;
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
    const scratchAddress = scratch.address;
    const packet = out.address + at;
    const payload = packet + headerLength;
    writeIv(scratch.bytes, ivAt, this.rtpSalt, ssrc, packetIndex);
    evp.EVP_EncryptInit_ex(cipher, 0, 0, 0, scratchAddress + ivAt);
    evp.EVP_EncryptUpdate(cipher, 0, scratchAddress + outLengthAt, packet, headerLength);
    const from = this.srtp.addressOf(source) + payloadAt;
    evp.EVP_EncryptUpdate(cipher, payload, scratchAddress + outLengthAt, from, payloadLength);
    evp.EVP_EncryptFinal_ex(cipher, payload + payloadLength, scratchAddress + outLengthAt);
    evp.EVP_CIPHER_CTX_ctrl(cipher, gcmGetTag, gcmTagBytes, payload + payloadLength);
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

// Prepared SHA-1 states in a row: inner and outer, for three keys.
const rtpSha = 0;
const rtcpOutSha = 2 * shaBytes;
const rtcpInSha = 4 * shaBytes;

class CmContext extends EvpContext {
  protected readonly trailerBytes = srtcpIndexBytes + sha1TagBytes;
  protected readonly indexFromEnd = srtcpIndexBytes + sha1TagBytes;
  readonly #row: NativeRow;
  readonly #authenticRtcp = Buffer.alloc(sha1TagBytes);

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
    writeIv(scratch.bytes, ivAt, this.rtpSalt, ssrc, packetIndex);
    evp.EVP_EncryptInit_ex(cipher, 0, 0, 0, scratch.address + ivAt);
    const from = this.srtp.addressOf(source) + payloadAt;
    evp.EVP_EncryptUpdate(cipher, packet + headerLength, scratch.address + outLengthAt, from, payloadLength);
    // The tag covers packet || ROC; the ROC stands where the tag will go.
    writeU32(out.bytes, at + length, Math.floor(packetIndex / 0x1_0000));
    this.#hmac(rtpSha, packet, length + 4, packet + length);
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
    this.#hmac(rtcpOutSha, out.address + at, signedLength, out.address + at + signedLength);
    return signedLength + sha1TagBytes;
  }

  protected openSealed(length: number, ssrc: number, index: number): boolean {
    const { evp, scratch, rtcpCipher, ctr } = this.srtp;
    const signedLength = length - sha1TagBytes;
    this.#hmac(rtcpInSha, scratch.address + inAt, signedLength, scratch.address + digestAt);
    this.#authenticRtcp.set(scratch.bytes.subarray(digestAt, digestAt + sha1TagBytes));
    const tag = scratch.bytes.subarray(inAt + signedLength, inAt + length);
    if (!timingSafeEqual(this.#authenticRtcp, tag)) return false;
    writeIv(scratch.bytes, ivAt, this.rtcpIn.salt, ssrc, index);
    this.startRtcp(ctr, this.rtcpIn.key, false);
    const from = scratch.address + inAt + rtcpClearBytes;
    const bodyLength = signedLength - srtcpIndexBytes - rtcpClearBytes;
    const plain = scratch.address + plainAt + rtcpClearBytes;
    evp.EVP_EncryptUpdate(rtcpCipher, plain, scratch.address + outLengthAt, from, bodyLength);
    return true;
  }

  /** Writes a whole SHA-1 (20 bytes) to `to`, of which the first 10 count. `to` may lie behind the covered bytes. */
  #hmac(sha: number, from: number, length: number, to: number): void {
    const { evp, scratch } = this.srtp;
    const state = scratch.address + shaAt;
    const digest = scratch.address + digestAt;
    const { slab, at } = this.#row;
    this.#load(slab, at + sha);
    evp.SHA1_Update(state, from, length);
    evp.SHA1_Final(digest, state);
    this.#load(slab, at + sha + shaBytes);
    evp.SHA1_Update(state, digest, 20);
    evp.SHA1_Final(to, state);
  }

  #load(slab: NativeSlab, at: number): void {
    const to = this.srtp.scratch.u32;
    const from = slab.u32;
    for (let i = 0; i < shaBytes / 4; i++) to[shaAt / 4 + i] = from[at / 4 + i]!;
  }

  /** HMAC's inner and outer state after its first block (RFC 2104 §4). */
  #prepare(sha: number, authKey: Uint8Array): void {
    const { evp, scratch } = this.srtp;
    for (const [offset, pad] of [
      [0, 0x36],
      [shaBytes, 0x5c],
    ] as const) {
      for (let i = 0; i < 64; i++) scratch.bytes[inAt + i] = (authKey[i] ?? 0) ^ pad;
      evp.SHA1_Init(this.#row.address + sha + offset);
      evp.SHA1_Update(this.#row.address + sha + offset, scratch.address + inAt, 64);
    }
    scratch.bytes.fill(0, inAt, inAt + 64);
  }
}
