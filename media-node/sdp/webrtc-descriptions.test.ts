import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { acceptMedia, chooseCodec } from "./codec-choice.ts";
import { formatOf } from "./codec-formats.ts";
import { candidateValue, serializeLocalDescription, type LocalDescription } from "./local-description.ts";
import { parseRemoteDescription } from "./remote-description.ts";

const fingerprint = `sha-256 ${Array.from({ length: 32 }, () => "AB").join(":")}`;

/** As Chromium 156 offers on Debian, shortened. */
const browserOffer = [
  "v=0",
  "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  "a=group:BUNDLE 0 1",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:0123456789012345678901",
  `a=fingerprint:${fingerprint.toLowerCase().replace("sha-256", "SHA-256")}`,
  "a=setup:actpass",
  "m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114",
  "a=mid:0",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:96 VP8/90000",
  "a=rtcp-fb:96 goog-remb",
  "a=rtpmap:97 rtx/90000",
  "a=fmtp:97 apt=96",
  "a=rtpmap:103 H264/90000",
  "a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
  "a=rtpmap:104 rtx/90000",
  "a=fmtp:104 apt=103",
  "a=rtpmap:107 H264/90000",
  "a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
  "a=rtpmap:108 H264/90000",
  "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
  "a=rtcp-fb:* nack",
  "a=rtcp-fb:108 nack pli",
  "a=rtpmap:109 rtx/90000",
  "a=fmtp:109 apt=108",
  "a=rtpmap:114 red/90000",
  "m=audio 0 UDP/TLS/RTP/SAVPF 111 0",
  "a=bundle-only",
  "a=mid:1",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:111 opus/48000/2",
  "a=fmtp:111 minptime=10;useinbandfec=1",
  "",
].join("\r\n");

test("a browser's offer is read: normalized fingerprint, roles, bundled sections, rtx by apt", () => {
  const remote = parseRemoteDescription(browserOffer);
  assert.deepEqual(remote.fingerprints, [fingerprint]);
  assert.equal(remote.setup, "actpass");
  assert.deepEqual(remote.bundle, ["0", "1"]);
  assert.deepEqual(
    remote.media.map(({ kind, isRejected, wantsToReceive }) => ({ kind, isRejected, wantsToReceive })),
    [
      { kind: "video", isRejected: false, wantsToReceive: true },
      { kind: "audio", isRejected: false, wantsToReceive: true },
    ],
  );
  const h264 = chooseCodec(remote.media[0]!, "h264")!;
  assert.equal(h264.payloadType, 108, "constrained baseline in packetization mode 1 comes first");
  assert.equal(h264.rtxPayloadType, 109);
  assert.deepEqual(h264.feedback, ["nack", "nack pli"]);
  assert.equal(chooseCodec(remote.media[1]!, "pcmu")!.payloadType, 0, "static payload types need no rtpmap");
  assert.equal(chooseCodec(remote.media[0]!, "av1"), undefined);
});

test("ICE credentials are the session's or a section's, and never half of each", () => {
  const read = (...changes: [string, string][]): (string | undefined)[] => {
    const text = changes.reduce((sdp, [from, to]) => sdp.replace(from, to), browserOffer);
    const { iceUfrag, icePwd } = parseRemoteDescription(text);
    return [iceUfrag, icePwd];
  };
  const password = "0123456789012345678901";
  const inAudio = "a=mid:1\r\na=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuv";
  assert.deepEqual(read(), ["abcd", password]);
  assert.deepEqual(read(["a=mid:1", inAudio]), ["wxyz", "abcdefghijklmnopqrstuv"]);
  assert.deepEqual(read(["a=mid:1", "a=mid:1\r\na=ice-ufrag:wxyz"]), ["abcd", password]);
  for (const [what, ...change] of [
    ["no password", `a=ice-pwd:${password}\r\n`, ""],
    ["a short password", password, "0123"],
    ["a foreign character", "ufrag:abcd", "ufrag:ab:d"],
    ["one that is too long", "ufrag:abcd", `ufrag:${"a".repeat(257)}`],
  ] as const) {
    assert.deepEqual(read([...change]), [undefined, undefined], what);
  }
});

test("sections are accepted by what the stream has; without BUNDLE only the first", () => {
  const kinds = [
    { kind: "video" as const, codecs: ["h264"] },
    { kind: "audio" as const, codecs: ["opus"] },
  ];
  const bundled = acceptMedia(parseRemoteDescription(browserOffer), kinds);
  assert.deepEqual(
    bundled.map(({ index, codec }) => [index, codec.payloadType]),
    [
      [0, 108],
      [1, 111],
    ],
  );
  const alone = acceptMedia(parseRemoteDescription(browserOffer.replace("a=group:BUNDLE 0 1\r\n", "")), kinds);
  assert.deepEqual(
    alone.map(({ index }) => index),
    [0],
  );
  const sending = acceptMedia(parseRemoteDescription(browserOffer.replaceAll("recvonly", "sendonly")), kinds);
  assert.deepEqual(sending, []);
});

test("every prefix of an offer gives a description or a ProtocolError", () => {
  for (let end = 0; end < browserOffer.length; end++) {
    try {
      parseRemoteDescription(browserOffer.slice(0, end));
    } catch (thrown) {
      assert.ok(thrown instanceof ProtocolError, `prefix of ${end}: ${String(thrown)}`);
    }
  }
});

test("an offer recorded from a GStreamer peer is read", () => {
  const text = readFileSync(new URL("../../test/fixtures/sdp/gstreamer-offer.sdp", import.meta.url), "utf8");
  const remote = parseRemoteDescription(text);
  assert.deepEqual(
    remote.media.map(({ mid, isRejected }) => [mid, isRejected]),
    [
      ["video0", false],
      ["audio1", false],
    ],
  );
  assert.equal(chooseCodec(remote.media[0]!, "h264")!.payloadType, 96);
});

const local: LocalDescription = {
  type: "offer",
  sessionId: 12345678901234567890n & 0x7fffffffffffffffn,
  iceUfrag: "ufrag",
  icePwd: "pwd",
  fingerprint,
  streamId: "stream",
  cname: "cname",
  media: [
    { kind: "video", mid: "v", codecs: [formatOf("h264")!], ssrc: 1, rtxSsrc: 2, trackId: "tv" },
    { kind: "audio", mid: "a", codecs: [formatOf("opus")!], ssrc: 3, trackId: "ta" },
  ],
  candidates: ["1 1 UDP 2130706431 192.0.2.1 10000 typ host"],
};

test("our offer is ICE-lite, bundled, names its SSRCs, and holds no candidates", () => {
  const text = serializeLocalDescription(local);
  for (const line of [
    "a=group:BUNDLE v a",
    "a=ice-lite",
    "a=setup:actpass",
    "m=video 9 UDP/TLS/RTP/SAVPF 98 99",
    "a=rtpmap:98 H264/90000",
    "a=fmtp:99 apt=98",
    "a=ssrc-group:FID 1 2",
    "a=ssrc:2 cname:cname",
    "a=msid:stream tv",
    "m=audio 9 UDP/TLS/RTP/SAVPF 110",
    "a=rtpmap:110 opus/48000/2",
  ]) {
    assert.ok(text.includes(`${line}\r\n`), `${line} is missing in\n${text}`);
  }
  assert.ok(!text.includes("candidate"));
  assert.ok(text.endsWith("\r\n"));
  assert.equal(parseRemoteDescription(text).media[0]!.codecs[0]!.rtxPayloadType, 99);
});

test("our answer leaves declined sections out of BUNDLE and lists the candidates once", () => {
  const text = serializeLocalDescription({
    ...local,
    type: "answer",
    media: [
      local.media[0]!,
      { declined: true, kind: "audio", mid: "a", protocol: "UDP/TLS/RTP/SAVPF", formats: ["111"] },
    ],
  });
  assert.ok(text.includes("a=group:BUNDLE v\r\n"));
  assert.ok(text.includes("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n"));
  assert.ok(text.includes("a=setup:passive\r\n"));
  assert.equal(text.split("a=candidate:").length, 2);
  assert.ok(text.includes("a=end-of-candidates\r\n"));
  assert.equal(parseRemoteDescription(text).media[1]!.isRejected, true);
});

test("candidates are written as browsers read them", () => {
  const base = { foundation: "2", priority: 1_671_430_143, address: "192.0.2.1", port: 10_000 };
  assert.equal(
    candidateValue({ ...base, protocol: "tcp" }),
    "2 1 TCP 1671430143 192.0.2.1 10000 typ host tcptype passive",
  );
  assert.equal(
    candidateValue({ ...base, protocol: "udp", address: "2001:db8::1" }),
    "2 1 UDP 1671430143 2001:db8::1 10000 typ host",
  );
});
