// Both tiers against the RFCs' vectors, against each other, and against an independent receiver (werift).
import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { SrtcpSession, SrtpSession } from "werift";
import { EvpSrtp } from "../native/evp-srtp.ts";
import { loadNativeLibrary } from "../native/library.ts";
import type { Slab } from "../native/slab.ts";
import { portablePacketSlab } from "./portable-outlet.ts";
import { portableSrtp } from "./portable-srtp.ts";
import type { SrtpContext, SrtpCrypto } from "./srtp-context.ts";
import {
  deriveSessionKeys,
  deriveSrtpKey,
  saltLengthOf,
  srtpProfiles,
  type SrtpProfile,
  type SrtpSessionKey,
} from "./srtp-keys.ts";
import { rewriteRtpHeader, rtpHeaderLength, writeIv } from "./srtp-wire.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

const library = loadNativeLibrary();
assert.ok(library.evp, `OpenSSL's functions are there: ${library.missing.join(", ")}`);
const native = new EvpSrtp(library, library.evp);
const tiers: readonly (readonly [SrtpCrypto, Slab])[] = [
  [portableSrtp, portablePacketSlab(2048)],
  [native, library.newSlab(2048)],
];
const profiles = Object.values(srtpProfiles);

function protectRtp(context: SrtpContext, out: Slab, packet: Uint8Array, ssrc: number, packetIndex: number): Buffer {
  const header = rtpHeaderLength(packet, 0, packet.length);
  rewriteRtpHeader(packet, 0, header, out.view, 0, packet[1]! & 127, packetIndex, ssrc);
  const body = packet.length - header;
  const length = context.protectRtp(packet, header, body, out, 0, header, ssrc, packetIndex);
  return Buffer.from(out.bytes.subarray(0, length));
}

test("session keys are derived as in RFC 3711 §B.3", () => {
  const master = { key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"), salt: hex("0EC675AD498AFEEBB6960B3AABE6") };
  const derived = deriveSrtpKey(srtpProfiles.aes128CmSha1, master, "rtp");
  assert.deepEqual(Buffer.from(derived.key), hex("C61E7A93744F39EE10734AFE3FF7A087"));
  assert.deepEqual(Buffer.from(derived.salt), hex("30CBBC08863D8C85D49DB34A9AE1"));
  assert.deepEqual(Buffer.from(derived.authKey), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"));
});

test("the key stream is that of RFC 3711 §B.2", () => {
  const iv = new Uint8Array(16);
  writeIv(iv, 0, hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"), 0, 0);
  const stream = createCipheriv("aes-128-ctr", hex("2B7E151628AED2A6ABF7158809CF4F3C"), iv).update(Buffer.alloc(48));
  assert.deepEqual(
    stream,
    hex("E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0"),
  );
});

const gcmKey = (): SrtpSessionKey => ({
  key: hex("000102030405060708090a0b0c0d0e0f"),
  authKey: new Uint8Array(),
  salt: hex("517569642070726f2071756f"),
});
const gcmKeys = () => ({ profile: srtpProfiles.aes128Gcm, rtpOut: gcmKey(), rtcpOut: gcmKey(), rtcpIn: gcmKey() });

for (const [crypto, slab] of tiers) {
  test(`${crypto.name}: GCM protects RTP as in RFC 7714 §16.1.1`, () => {
    const context = crypto.open(gcmKeys());
    const plain =
      hex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465
      73207472 6573`);
    assert.deepEqual(
      protectRtp(context, slab, plain, 0x5501a0b2, 0xf17b),
      hex(`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf
        8833899d 7f27beb1 6a9152cf 765ee439 0cce`),
    );
    context.close();
  });

  test(`${crypto.name}: GCM opens and refuses SRTCP around RFC 7714 §17.1`, () => {
    const context = crypto.open(gcmKeys());
    const plain =
      hex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef
      deadbeef deadbeef`);
    const sealed =
      hex(`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
      86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`);
    const opened = context.unprotectRtcp(sealed);
    assert.ok(opened);
    assert.deepEqual(Buffer.from(opened), plain);
    assert.equal(context.unprotectRtcp(sealed), undefined, "a replay");
    context.close();
  });

  for (const profile of profiles) {
    test(`${crypto.name}, profile ${profile}: an independent receiver reads RTP across the rollover`, () => {
      const [keys, remote] = newKeys(profile);
      const context = crypto.open(deriveSessionKeys(keys));
      const receiver = new SrtpSession({ profile, keys: remote });
      for (let index = 65_530; index < 65_560; index++) {
        const packet = Buffer.concat([
          hex("9080 0000 00000001 00000000 bede0001 10ff0000"),
          Buffer.alloc(index % 1200, index),
        ]);
        const opened = receiver.decrypt(protectRtp(context, slab, packet, 77, index));
        const expected = Buffer.from(packet);
        expected.writeUInt16BE(index % 65_536, 2);
        expected.writeUInt32BE(77, 8);
        assert.deepEqual(opened, expected);
      }
      context.close();
    });

    test(`${crypto.name}, profile ${profile}: media and repetitions roll over three times, each by its own count`, () => {
      const [keys, remote] = newKeys(profile);
      const context = crypto.open(deriveSessionKeys(keys));
      const receiver = new SrtpSession({ profile, keys: remote });
      const packet = Buffer.concat([hex("8060 0000 00000001 00000000"), Buffer.alloc(40, 7)]);
      const around = (rollover: number): number[] => [-2, -1, 0, 1, 20_000, 40_000].map((by) => rollover * 65_536 + by);
      const media = [40_000, ...[1, 2, 3].flatMap(around)];
      const repetitions = [10_000, 25_000, 40_000, ...[1, 2, 3].flatMap(around)];
      for (const [step, index] of media.entries()) {
        for (const [ssrc, sent] of [
          [77, index],
          [78, repetitions[step]!],
        ] as const) {
          const opened = receiver.decrypt(protectRtp(context, slab, packet, ssrc, sent));
          assert.deepEqual(
            [opened.readUInt16BE(2), opened.readUInt32BE(8), opened.subarray(12)],
            [sent % 65_536, ssrc, packet.subarray(12)],
          );
        }
      }
      context.close();
    });

    test(`${crypto.name}, profile ${profile}: SRTCP goes both ways, once, unchanged only`, () => {
      const [keys, remote] = newKeys(profile);
      const context = crypto.open(deriveSessionKeys(keys));
      const other = new SrtcpSession({ profile, keys: remote });
      const report = hex("81c90007 0000abcd 00000001 00000000 00000000 00000000 00000000 00000000");
      for (let i = 0; i < 3; i++) {
        const length = context.protectRtcp(report, slab, 0);
        assert.deepEqual(other.decrypt(Buffer.from(slab.bytes.subarray(0, length))), report);
      }
      const sealed = other.encrypt(report);
      for (let at = 0; at < sealed.length; at++) {
        const forged = Buffer.from(sealed);
        forged[at]! ^= 1;
        assert.equal(context.unprotectRtcp(forged), undefined, `byte ${at}`);
        assert.equal(context.unprotectRtcp(sealed.subarray(0, at)), undefined, `prefix ${at}`);
      }
      assert.deepEqual(Buffer.from(context.unprotectRtcp(sealed)!), report);
      assert.equal(context.unprotectRtcp(sealed), undefined, "a replay");
      context.close();
      assert.equal(context.unprotectRtcp(other.encrypt(report)), undefined, "after close");
    });
  }
}

test("both tiers make the same bytes", () => {
  for (const profile of profiles) {
    const [keys] = newKeys(profile);
    const packets = tiers.map(([crypto, slab]) => {
      const context = crypto.open(deriveSessionKeys(keys));
      const rtp = [0, 1, 15, 16, 17, 1200].map((body) =>
        protectRtp(
          context,
          slab,
          Buffer.concat([hex("8060000100000002 00000003"), Buffer.alloc(body, 7)]),
          9,
          2 ** 47 + body,
        ),
      );
      const rtcp = Buffer.from(slab.bytes.subarray(0, context.protectRtcp(hex("80c90001 00000009"), slab, 0)));
      return [...rtp, rtcp];
    });
    assert.deepEqual(packets[0], packets[1]);
  }
});

test.after(() => native.close());

let counter = 0;
/** Our keys, and the same seen by the other side in werift's words. */
function newKeys(profile: SrtpProfile) {
  const bytes = (length: number): Buffer => Buffer.alloc(length, ++counter);
  const keys = {
    profile,
    local: { key: bytes(16), salt: bytes(saltLengthOf(profile)) },
    remote: { key: bytes(16), salt: bytes(saltLengthOf(profile)) },
  };
  const remote = {
    localMasterKey: keys.remote.key,
    localMasterSalt: keys.remote.salt,
    remoteMasterKey: keys.local.key,
    remoteMasterSalt: keys.local.salt,
  };
  return [keys, remote] as const;
}
