// A browser connects to the transport below the MediaPort seam, with an SDP answer made here, and decodes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium, type Page } from "playwright-core";
import { splitAnnexB } from "../../media-node/codecs/annex-b.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import type { MediaPort, PeerTransport, RtpBatch } from "../../media-node/webrtc/media-port.ts";
import { openMediaPort, type MediaPortOptions } from "../../media-node/webrtc/transport/open-media-port.ts";
import { until } from "../support/until.ts";

const frameMs = 33;
const videoSsrc = 0x11223344;
const audioSsrc = 0x55667788;
const maxPayload = 1188;
/** One frame of 20 ms silence (RFC 6716 §3.1: CELT, fullband, stereo). */
const opusSilence = Buffer.from("fcfffe", "hex");

/** Access units of a clip, each a list of NAL units. */
function encodeClip(): Uint8Array[][] {
  const bytes = execFileSync(
    "ffmpeg",
    "-v error -f lavfi -i testsrc2=s=640x360:r=30 -frames:v 60 -c:v libx264 -profile:v baseline -preset ultrafast -tune zerolatency -g 30 -b:v 2M -x264-params aud=1:repeat-headers=1 -f h264 -".split(
      " ",
    ),
    { maxBuffer: 64 << 20 },
  );
  const units: Uint8Array[][] = [];
  for (const nal of splitAnnexB(bytes)) {
    if ((nal[0]! & 31) === 9) units.push([]);
    else units.at(-1)!.push(nal);
  }
  return units;
}

/** RTP of one access unit (RFC 6184 §5.6, §5.8), in the shape the seam takes. */
function packetize(nals: readonly Uint8Array[], timestamp: number): RtpBatch {
  const payloads = nals.flatMap((nal) => {
    if (nal.length <= maxPayload) return [nal];
    const parts: Uint8Array[] = [];
    for (let at = 1; at < nal.length; at += maxPayload - 2) {
      const end = Math.min(nal.length, at + maxPayload - 2);
      const flags = (at === 1 ? 0x80 : 0) | (end === nal.length ? 0x40 : 0);
      parts.push(Buffer.concat([Buffer.from([(nal[0]! & 0xe0) | 28, flags | (nal[0]! & 31)]), nal.subarray(at, end)]));
    }
    return parts;
  });
  return batchOf(payloads, timestamp);
}

function batchOf(payloads: readonly Uint8Array[], timestamp: number): RtpBatch {
  const offsets = new Uint32Array(payloads.length + 1);
  const packets = payloads.map((payload, i) => {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = i === payloads.length - 1 ? 0x80 : 0;
    header.writeUInt32BE(timestamp >>> 0, 4);
    offsets[i + 1] = offsets[i]! + 12 + payload.length;
    return Buffer.concat([header, payload]);
  });
  return { slab: Buffer.concat(packets), offsets, count: payloads.length };
}

interface Offered {
  readonly mids: readonly string[];
  readonly fingerprint: string;
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly videoType: string;
  readonly audioType: string;
}

function readOffer(sdp: string): Offered {
  const one = (pattern: RegExp): string => {
    const found = sdp.match(pattern)?.[1];
    assert.ok(found, `the offer has ${pattern.source}`);
    return found;
  };
  const h264 = [...sdp.matchAll(/a=rtpmap:(\d+) H264\/90000/g)].map(([, type]) => type!);
  const videoType = h264.find((type) => new RegExp(`a=fmtp:${type} .*packetization-mode=1.*42e01f`).test(sdp));
  assert.ok(videoType, "the offer has constrained baseline");
  return {
    mids: [...sdp.matchAll(/a=mid:(\S+)/g)].map(([, mid]) => mid!),
    fingerprint: one(/a=fingerprint:(sha-256 \S+)/),
    iceUfrag: one(/a=ice-ufrag:(\S+)/),
    icePwd: one(/a=ice-pwd:(\S+)/),
    videoType,
    audioType: one(/a=rtpmap:(\d+) opus\/48000/),
  };
}

function answerOf(port: MediaPort, peer: PeerTransport, offered: Offered, protocol: "udp" | "tcp"): string {
  const candidates = port.candidates
    .filter((candidate) => candidate.protocol === protocol)
    .map(
      ({ foundation, priority, address, port: number }) =>
        `a=candidate:${foundation} 1 ${protocol} ${priority} ${address} ${number} typ host${protocol === "tcp" ? " tcptype passive" : ""}`,
    );
  const section = (kind: string, mid: string, type: string, lines: readonly string[], ssrc: number): string[] => [
    `m=${kind} 9 UDP/TLS/RTP/SAVPF ${type}`,
    "c=IN IP4 0.0.0.0",
    `a=mid:${mid}`,
    "a=sendonly",
    "a=rtcp-mux",
    "a=setup:passive",
    `a=ice-ufrag:${peer.iceUfrag}`,
    `a=ice-pwd:${peer.icePwd}`,
    `a=fingerprint:${port.fingerprint}`,
    "a=msid:s t" + kind,
    ...lines,
    `a=ssrc:${ssrc} cname:hearth`,
    ...candidates,
    "a=end-of-candidates",
  ];
  const [video, audio] = [offered.videoType, offered.audioType];
  return [
    "v=0",
    "o=- 1 1 IN IP4 0.0.0.0",
    "s=-",
    "t=0 0",
    `a=group:BUNDLE ${offered.mids.join(" ")}`,
    "a=ice-lite",
    ...section(
      "video",
      offered.mids[0]!,
      video,
      [
        `a=rtpmap:${video} H264/90000`,
        `a=fmtp:${video} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f`,
        `a=rtcp-fb:${video} nack pli`,
      ],
      videoSsrc,
    ),
    ...section("audio", offered.mids[1]!, audio, [`a=rtpmap:${audio} opus/48000/2`], audioSsrc),
    "",
  ].join("\r\n");
}

const pageScript = fileURLToPath(new URL("../support/webrtc-page.js", import.meta.url));

interface Outcome {
  readonly framesDecoded: number;
  readonly packetsLost: number;
  readonly audioPackets: number;
  readonly samples: number;
  readonly srtpCipher: string;
  readonly dtlsCipher: string;
  readonly protocol: string;
  readonly state: string;
}

const statsInPage = (page: Page): Promise<Outcome> => page.evaluate<Outcome>("webrtcPage.stats()");

/** Sends the clip in a loop until the browser has decoded `frames`, or the deadline is past. */
async function play(
  page: Page,
  port: MediaPort,
  peer: PeerTransport,
  offered: Offered,
  frames: number,
): Promise<Outcome> {
  const clip = encodeClip();
  let [video, audio, frame] = [65_500, 65_500, 0];
  const audioBatch = batchOf([opusSilence], 0);
  const timer = setInterval(() => {
    const batch = packetize(clip[frame % clip.length]!, frame * 3000);
    peer.queueRtp(batch, 0, batch.count, {
      ssrc: videoSsrc,
      payloadType: Number(offered.videoType),
      packetIndex: video,
    });
    video += batch.count;
    for (let ms = audio - 65_500; ms * 20 < frame * frameMs; ms++) {
      new DataView(audioBatch.slab.buffer, audioBatch.slab.byteOffset).setUint32(4, ms * 960);
      peer.queueRtp(audioBatch, 0, 1, {
        ssrc: audioSsrc,
        payloadType: Number(offered.audioType),
        packetIndex: audio++,
      });
    }
    port.flush();
    frame++;
  }, frameMs);
  try {
    return await until(`${frames} frames are decoded`, 30_000, async () => {
      const outcome = await statsInPage(page);
      return outcome.framesDecoded >= frames ? outcome : undefined;
    });
  } finally {
    clearInterval(timer);
  }
}

const variants: readonly (readonly [name: string, protocol: "udp" | "tcp", options: Partial<MediaPortOptions>])[] = [
  ["everything native", "udp", {}],
  ["over TCP only", "tcp", {}],
  ["portable sending and SRTP", "udp", { force: { send: "portable", crypto: "portable" } }],
];

test("Chromium decodes H.264 and Opus", async (t) => {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection"],
  });
  t.after(() => browser.close());
  for (const [name, protocol, options] of variants) {
    await t.test(name, async () => {
      const port = await openMediaPort({
        addresses: ["127.0.0.1"],
        advertisedAddresses: ["127.0.0.1"],
        clock: systemClock,
        logger: silentLogger,
        ...options,
      });
      const page = await browser.newPage();
      await page.addScriptTag({ path: pageScript });
      try {
        const states: string[] = [];
        let rtcp = 0;
        const peer = port.open({ onState: (state, reason) => states.push(`${state} ${reason}`), onRtcp: () => rtcp++ });
        const offered = readOffer(await page.evaluate<string>("webrtcPage.offer()"));
        peer.setRemote({ fingerprints: [offered.fingerprint], iceUfrag: offered.iceUfrag, icePwd: offered.icePwd });
        await page.evaluate(`webrtcPage.answer(${JSON.stringify(answerOf(port, peer, offered, protocol))})`);
        const outcome = await play(page, port, peer, offered, 200);
        t.diagnostic(JSON.stringify({ ...outcome, rtcp, states, tier: port.tier, ...port.stats }));
        assert.ok(outcome.framesDecoded >= 200, `${outcome.framesDecoded} frames decoded`);
        assert.equal(outcome.packetsLost, 0);
        assert.ok(outcome.audioPackets > 100 && outcome.samples > 0, "audio played");
        assert.equal(outcome.protocol, protocol);
        assert.ok(rtcp > 0, "receiver reports came");
        await page.evaluate("webrtcPage.close()");
        await until("the peer sees the viewer go", 5_000, () => peer.state === "closed");
        assert.deepEqual(states, ["connected ", "closed close-notify"]);
      } finally {
        await page.close();
        await port.close();
      }
    });
  }
});
