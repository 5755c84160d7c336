import { createHash, createSign, generateKeyPairSync, type KeyObject, timingSafeEqual } from "node:crypto";

/** This node's self-signed certificate (RFC 8827 §6.5: ECDSA on P-256), made anew at every start. */
export interface NodeCertificate {
  /** X.509, DER. */
  readonly der: Uint8Array;
  readonly privateKey: KeyObject;
  /** RFC 5915, DER. */
  readonly privateKeyDer: Uint8Array;
  /** As `a=fingerprint` takes it: `sha-256 AA:BB:…` (RFC 8122 §5). */
  readonly fingerprint: string;
}

// DER tags
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const SEQUENCE = 0x30;
const SET = 0x31;

const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex");
const commonName = Buffer.from("550403", "hex");

/** Browsers refuse certificates that are not valid yet on their clock, or valid for very long. */
const dayMs = 86_400_000;
const validBeforeMs = dayMs;
const validAfterMs = 365 * dayMs;

/** @param wallMs now, for the validity dates */
export function newCertificate(wallMs: number): NodeCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(SEQUENCE, der(OBJECT_IDENTIFIER, ecdsaWithSha256));
  const name = der(SEQUENCE, der(SET, der(SEQUENCE, der(OBJECT_IDENTIFIER, commonName), text("hearth"))));
  const validity = der(SEQUENCE, utcTime(wallMs - validBeforeMs), utcTime(wallMs + validAfterMs));
  const serial = der(INTEGER, Buffer.from([1]));
  const publicKeyInfo = publicKey.export({ type: "spki", format: "der" });
  // Version 1 (RFC 5280 §4.1): no extensions are needed, as only the fingerprint is looked at.
  const toBeSigned = der(SEQUENCE, serial, algorithm, name, validity, name, publicKeyInfo);
  const signature = createSign("sha256").update(toBeSigned).sign(privateKey);
  const certificate = der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  return {
    der: certificate,
    privateKey,
    privateKeyDer: privateKey.export({ type: "sec1", format: "der" }),
    fingerprint: `sha-256 ${fingerprintOf(certificate, "sha256")}`,
  };
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const text = (value: string): Buffer => der(UTF8_STRING, Buffer.from(value));
/** YYMMDDHHMMSSZ */
const utcTime = (wallMs: number): Buffer =>
  der(UTC_TIME, Buffer.from(`${new Date(wallMs).toISOString().replace(/\D/g, "").slice(2, 14)}Z`));

/** Colon-separated upper-case hex. */
function fingerprintOf(certificate: Uint8Array, hash: string): string {
  return createHash(hash).update(certificate).digest("hex").toUpperCase().match(/../g)!.join(":");
}

/** Hash functions of RFC 8122 §5 that are still collision resistant. */
const hashes: Readonly<Record<string, string>> = { "sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512" };

/**
 * Whether one of `fingerprints` (`sha-256 AA:BB:…`, any case) is that of `certificate` (DER). Hash functions we do not
 * trust never match (RFC 8122 §5.1). Constant time for each.
 */
export function matchesFingerprint(certificate: Uint8Array, fingerprints: readonly string[]): boolean {
  return fingerprints.some((line) => {
    const [name = "", value = ""] = line.trim().split(/\s+/);
    const hash = hashes[name.toLowerCase()];
    if (!hash) return false;
    const actual = createHash(hash).update(certificate).digest();
    const stated = Buffer.from(value.replaceAll(":", ""), "hex");
    return stated.length === actual.length && timingSafeEqual(stated, actual);
  });
}
