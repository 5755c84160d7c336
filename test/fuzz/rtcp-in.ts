// SRTCP as it comes from anybody who can spoof an address: nothing is opened, nothing is thrown, in both tiers alike.
import assert from "node:assert/strict";
import { EvpSrtp } from "../../media-node/webrtc/native/evp-srtp.ts";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { portableSrtp } from "../../media-node/webrtc/transport/portable-srtp.ts";
import { deriveSessionKeys, saltLengthOf, srtpProfiles } from "../../media-node/webrtc/transport/srtp-keys.ts";
import { rtpHeaderLength } from "../../media-node/webrtc/transport/srtp-wire.ts";

const library = loadNativeLibrary();
const tiers = library.evp ? [portableSrtp, new EvpSrtp(library, library.evp)] : [portableSrtp];
const contexts = tiers.flatMap((crypto) =>
  Object.values(srtpProfiles).map((profile) => {
    const master = { key: Buffer.alloc(16, 7), salt: Buffer.alloc(saltLengthOf(profile), 8) };
    return crypto.open(deriveSessionKeys({ profile, local: master, remote: master }));
  }),
);

export function fuzz(input: Uint8Array): void {
  for (const context of contexts) assert.equal(context.unprotectRtcp(input), undefined);
  const header = rtpHeaderLength(input, 0, input.length);
  assert.ok(header === 0 || (header >= 12 && header <= input.length));
}
