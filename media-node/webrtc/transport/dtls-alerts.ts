import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { dtlsContent, type DtlsRecord } from "./dtls-records.ts";

/** What the traffic keys of a DTLS 1.2 connection are made from. */
export interface DtlsSecrets {
  readonly master: Uint8Array;
  readonly clientRandom: Uint8Array;
  readonly serverRandom: Uint8Array;
}

const keyBytes = 16;
const saltBytes = 4;
const nonceBytes = 8;
const tagBytes = 16;
const headerBytes = 13;
const alertBytes = 2;
/** Far above what the handshake used, so that every receiver's window takes it, and its nonce was never used. */
const firstSequence = 2 ** 40;

/**
 * The alerts of an established connection with TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, server side: all of DTLS that is
 * left to do once media flows. 40 bytes of keys instead of the 70 KB that a whole connection holds.
 *
 *     | type, version, epoch, sequence, length (13) | explicit nonce (8) | ciphertext | tag (16) |   RFC 5288 §3
 */
export class DtlsAlerts {
  readonly #clientKey: Uint8Array;
  readonly #serverKey: Uint8Array;
  readonly #clientSalt: Uint8Array;
  readonly #serverSalt: Uint8Array;
  #sequence = firstSequence;

  constructor({ master, clientRandom, serverRandom }: DtlsSecrets) {
    // RFC 5246 §6.3; AEAD suites have no MAC keys.
    const seed = Buffer.concat([Buffer.from("key expansion"), serverRandom, clientRandom]);
    const block = prfSha256(master, seed, 2 * (keyBytes + saltBytes));
    this.#clientKey = block.subarray(0, keyBytes);
    this.#serverKey = block.subarray(keyBytes, 2 * keyBytes);
    this.#clientSalt = block.subarray(2 * keyBytes, 2 * keyBytes + saltBytes);
    this.#serverSalt = block.subarray(2 * keyBytes + saltBytes);
  }

  /** Whether `record` is an authentic alert of the client that ends the connection: close_notify or a fatal one. */
  isEnd(record: DtlsRecord): boolean {
    const { bytes } = record;
    const length = headerBytes + nonceBytes + alertBytes + tagBytes;
    if (record.type !== dtlsContent.alert || record.epoch !== 1 || bytes.length !== length) return false;
    const explicit = bytes.subarray(headerBytes, headerBytes + nonceBytes);
    const nonce = Buffer.concat([this.#clientSalt, explicit]);
    const decipher = createDecipheriv("aes-128-gcm", this.#clientKey, nonce);
    decipher.setAAD(additionalData(bytes));
    decipher.setAuthTag(bytes.subarray(length - tagBytes));
    const alert = decipher.update(bytes.subarray(headerBytes + nonceBytes, length - tagBytes));
    try {
      decipher.final();
    } catch {
      return false;
    }
    return alert[0] === 2 || alert[1] === 0;
  }

  /** close_notify, as one datagram. */
  closeNotify(): Uint8Array {
    const header = Buffer.alloc(headerBytes);
    header[0] = dtlsContent.alert;
    header.writeUInt16BE(0xfefd, 1);
    header.writeUInt16BE(1, 3);
    header.writeUIntBE(this.#sequence++, 5, 6);
    header.writeUInt16BE(nonceBytes + alertBytes + tagBytes, 11);
    const explicit = header.subarray(3, 11);
    const cipher = createCipheriv("aes-128-gcm", this.#serverKey, Buffer.concat([this.#serverSalt, explicit]));
    cipher.setAAD(additionalData(header));
    const alert = cipher.update(Buffer.from([1, 0]));
    cipher.final();
    return Buffer.concat([header, explicit, alert, cipher.getAuthTag()]);
  }
}

/** RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1: epoch and sequence, type, version, length of the plain text. */
function additionalData(record: Uint8Array): Buffer {
  return Buffer.concat([record.subarray(3, 11), record.subarray(0, 3), Buffer.from([0, alertBytes])]);
}

/** The pseudo-random function of TLS 1.2 with SHA-256 (RFC 5246 §5); `seed` begins with the label. */
export function prfSha256(secret: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const hmac = (...parts: readonly Uint8Array[]): Buffer => {
    const hash = createHmac("sha256", secret);
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  const out: Buffer[] = [];
  for (let a = hmac(seed), have = 0; have < length; a = hmac(a), have += 32) out.push(hmac(a, seed));
  return Buffer.concat(out).subarray(0, length);
}
