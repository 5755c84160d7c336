import { createCipheriv } from "node:crypto";

/** The two SRTP protection profiles spoken here, by their number in `use_srtp` (RFC 5764 §4.1.2, RFC 7714 §14.2). */
export const srtpProfiles = {
  aes128CmSha1: 0x0001,
  aes128Gcm: 0x0007,
} as const;
export type SrtpProfile = (typeof srtpProfiles)[keyof typeof srtpProfiles];

/** All profiles, in the order to offer them. */
export const bestFirst = (preferred: SrtpProfile): SrtpProfile[] =>
  Object.values(srtpProfiles).sort((a, b) => Number(b === preferred) - Number(a === preferred));

/** A master key with its salt: 16 + 12 bytes for GCM, 16 + 14 for CM. */
export interface SrtpMasterKey {
  readonly key: Uint8Array;
  readonly salt: Uint8Array;
}

/** What a DTLS handshake yields: `local` protects what we send, `remote` what the viewer sends. */
export interface SrtpMasterKeys {
  readonly profile: SrtpProfile;
  readonly local: SrtpMasterKey;
  readonly remote: SrtpMasterKey;
}

export interface SrtpSessionKey {
  readonly key: Uint8Array;
  /** Empty for GCM. */
  readonly authKey: Uint8Array;
  /** 12 bytes for GCM, 14 for CM. */
  readonly salt: Uint8Array;
}

const keyLength = 16;
export const saltLengthOf = (profile: SrtpProfile): number => (profile === srtpProfiles.aes128Gcm ? 12 : 14);
/** Bytes that the DTLS exporter `EXTRACTOR-dtls_srtp` must give (RFC 5764 §4.2). */
export const exportLengthOf = (profile: SrtpProfile): number => 2 * (keyLength + saltLengthOf(profile));

/** Cuts the exporter's bytes, seen from the DTLS server (RFC 5764 §4.2: client key, server key, client salt, server salt). */
export function masterKeysOfServer(profile: SrtpProfile, material: Uint8Array): SrtpMasterKeys {
  const salt = saltLengthOf(profile);
  const cut = (at: number, length: number): Uint8Array => Uint8Array.prototype.slice.call(material, at, at + length);
  return {
    profile,
    remote: { key: cut(0, keyLength), salt: cut(2 * keyLength, salt) },
    local: { key: cut(keyLength, keyLength), salt: cut(2 * keyLength + salt, salt) },
  };
}

/** What a context works with. */
export interface SrtpSessionKeys {
  readonly profile: SrtpProfile;
  readonly rtpOut: SrtpSessionKey;
  readonly rtcpOut: SrtpSessionKey;
  readonly rtcpIn: SrtpSessionKey;
}

export function deriveSessionKeys({ profile, local, remote }: SrtpMasterKeys): SrtpSessionKeys {
  return {
    profile,
    rtpOut: deriveSrtpKey(profile, local, "rtp"),
    rtcpOut: deriveSrtpKey(profile, local, "rtcp"),
    rtcpIn: deriveSrtpKey(profile, remote, "rtcp"),
  };
}

const noKey = new Uint8Array();

/** Labels of RFC 3711 §4.3.2, first of three (encryption, authentication, salt). */
const firstLabel = { rtp: 0, rtcp: 3 } as const;

/** Derives the keys of one direction (RFC 3711 §4.3, key derivation rate 0; RFC 7714 §11 for GCM's shorter salt). */
export function deriveSrtpKey(profile: SrtpProfile, master: SrtpMasterKey, use: "rtp" | "rtcp"): SrtpSessionKey {
  const label = firstLabel[use];
  const isGcm = profile === srtpProfiles.aes128Gcm;
  return {
    key: prf(master, label, keyLength),
    authKey: isGcm ? noKey : prf(master, label + 1, 20),
    salt: prf(master, label + 2, saltLengthOf(profile)),
  };
}

function prf(master: SrtpMasterKey, label: number, length: number): Uint8Array {
  const iv = new Uint8Array(16);
  iv.set(master.salt);
  iv[7]! ^= label;
  return createCipheriv("aes-128-ctr", master.key, iv).update(new Uint8Array(length));
}
