import assert from "node:assert/strict";
import { test } from "node:test";
import { opusTrack, videoTrack } from "../../test/support/synthetic-stream.ts";
import { serializeLeb128 } from "../codecs/av1.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { ProtocolError } from "../flow/errors.ts";
import { parseRemoteDescription } from "../sdp/remote-description.ts";
import { bitstreamProfileOf } from "./bitstream-profile.ts";
import { acceptAnswer, acceptOffer, createOffer } from "./negotiation.ts";
import type { PlayablePlaylist } from "./renditions.ts";

const fingerprint = `sha-256 ${Array.from({ length: 32 }, () => "AB").join(":")}`;
const credentials = { iceUfrag: "ufrag", icePwd: "password" };
const options = {
  port: { candidates: [], fingerprint },
  random: (length: number) => new Uint8Array(length).fill(7),
  config: { rtx: true },
};

function playlistOf(track: Track, profiles: PlayablePlaylist["profiles"] = {}): PlayablePlaylist {
  const renditions = [{ name: "one", video: track, audio: opusTrack }];
  return { name: "list", fileName: "list", isAuto: false, renditions, profiles };
}

const lineOf = (sdp: string, start: string): string | undefined =>
  sdp.split("\r\n").find((line) => line.startsWith(start));

const sampleOf = (data: readonly number[]): Sample => ({
  trackId: videoTrack.id,
  pts: 0,
  dts: 0,
  duration: 0,
  isKeyframe: true,
  data: Uint8Array.from(data),
});

/** A key frame of profile 2, ten bits. */
const vp9Key = [0x92, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf8, 0x0b, 0x38];
/** seq_profile 1, no operating point information, one point of level 13 and tier 1, 16 × 16. */
const av1Sequence = [0x20, 0x00, 0x00, 0x6c, 0xcc, 0xff, 0x00];

test("a VP9 stream is offered under its own profile, and taken under it", () => {
  const track: Track = { ...videoTrack, codec: "vp9" };
  const profile = bitstreamProfileOf(track, [sampleOf(vp9Key)])!;
  assert.equal(profile.profile, 2);
  const { sdp } = createOffer(credentials, playlistOf(track, { vp9: profile }), options);
  assert.equal(lineOf(sdp, "a=rtpmap:102"), "a=rtpmap:102 VP9/90000");
  assert.equal(lineOf(sdp, "a=fmtp:102"), "a=fmtp:102 profile-id=2");
  assert.equal(lineOf(sdp, "a=fmtp:103"), "a=fmtp:103 apt=102");
});

test("an AV1 stream is offered with profile, level and tier of its sequence header", () => {
  const track: Track = { ...videoTrack, codec: "av1" };
  const unit = [0x0a, ...serializeLeb128(av1Sequence.length), ...av1Sequence];
  const profile = bitstreamProfileOf(track, [sampleOf(unit)])!;
  assert.deepEqual([profile.profile, profile.level, profile.tier], [1, 13, 1]);
  const { sdp } = createOffer(credentials, playlistOf(track, { av1: profile }), options);
  assert.equal(lineOf(sdp, "a=fmtp:104"), "a=fmtp:104 profile=1;level-idx=13;tier=1");
  assert.deepEqual(bitstreamProfileOf(track, []), { profile: 0, level: 5, tier: 0 }, "until there is a key frame");
});

function offerOf(rtpmaps: readonly string[], setup = "actpass"): string {
  const types = rtpmaps.map((_, i) => 40 + i);
  return [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    `a=fingerprint:${fingerprint}`,
    `a=setup:${setup}`,
    `m=video 9 UDP/TLS/RTP/SAVPF ${types.join(" ")}`,
    "a=mid:0",
    "a=recvonly",
    "a=rtcp-mux",
    ...rtpmaps.flatMap((map, i) => {
      const [codec, fmtp] = map.split(" ");
      return [`a=rtpmap:${types[i]} ${codec}/90000`, ...(fmtp ? [`a=fmtp:${types[i]} ${fmtp}`] : [])];
    }),
    "",
  ].join("\r\n");
}

test("of a viewer's VP9 and AV1 the one of the stream's profile is taken, or none", () => {
  const take = (track: Track, profile: number, ...rtpmaps: string[]): number | undefined => {
    const profiles = { [track.codec]: { profile, level: 5, tier: 0 } };
    const accepted = acceptOffer(parseRemoteDescription(offerOf(rtpmaps)), playlistOf(track, profiles));
    return accepted?.accepted[0]?.codec.payloadType;
  };
  const [vp9, av1] = (["vp9", "av1"] as const).map((codec): Track => ({ ...videoTrack, codec })) as [Track, Track];
  assert.equal(take(vp9, 0, "VP8", "VP9 profile-id=2", "VP9"), 42);
  assert.equal(take(vp9, 2, "VP8", "VP9 profile-id=2", "VP9"), 41);
  assert.equal(take(vp9, 1, "VP9 profile-id=2", "VP9"), undefined);
  assert.equal(take(av1, 0, "AV1 profile=1", "AV1 level-idx=5;profile=0;tier=0"), 41);
  assert.equal(take(av1, 0, "AV1"), 40);
});

test("a viewer that insists on being the DTLS server is refused, as offerer and as answerer", () => {
  const remote = parseRemoteDescription(offerOf(["H264 packetization-mode=1"], "passive"));
  const playlist = playlistOf(videoTrack);
  assert.throws(() => acceptOffer(remote, playlist), ProtocolError);
  assert.throws(() => acceptAnswer(createOffer(credentials, playlist, options), remote, {}), ProtocolError);
});

test("mono Opus says so; without RTX no repetition is offered", () => {
  const mono: Track = { ...opusTrack, audio: { sampleRate: 48_000, channels: 1 } };
  const playlist = { ...playlistOf(videoTrack), renditions: [{ name: "one", video: videoTrack, audio: mono }] };
  const { sdp } = createOffer(credentials, playlist, { ...options, config: { rtx: false } });
  assert.match(lineOf(sdp, "a=fmtp:110")!, /stereo=0$/);
  assert.equal(lineOf(sdp, "a=rtpmap:110"), "a=rtpmap:110 opus/48000/2");
  assert.doesNotMatch(sdp, /rtx|FID|rtcp-fb:98 nack\r/);
});
