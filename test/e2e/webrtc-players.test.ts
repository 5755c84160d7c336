// The WebRTC room alone with real players: clip → stream → fan-out → DTLS-SRTP → Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Sample } from "../../media-node/core/sample.ts";
import type { OpenSource } from "../../media-node/core/source.ts";
import type { Track } from "../../media-node/core/track.ts";
import type { WebRtcConfig } from "../../media-node/webrtc/config.ts";
import { openBrowser } from "../support/browser.ts";
import { makeClip } from "../support/clip.ts";
import { makeIvfClip } from "../support/ivf-clip.ts";
import { loopingSource } from "../support/looping-source.ts";
import { PacketLedger, type Deliveries } from "../support/packet-ledger.ts";
import { servePages } from "../support/page-server.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { UdpFaultProxy } from "../support/udp-fault-proxy.ts";
import { until } from "../support/until.ts";
import { openWebRtcNode, type WebRtcNode } from "../support/webrtc-node.ts";

let open: OpenSource;
let node: WebRtcNode;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  const clip = await makeClip({ seconds: 4, gop: 60, audio: "opus" });
  open = loopingSource(clip, { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  node = await openWebRtcNode(open);
  pages = await servePages();
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await node?.[Symbol.asyncDispose]();
});

interface Played {
  readonly state: {
    readonly firstMs: number;
    /** Of a page that was asked to `watch`. */
    readonly longestStandMs?: number;
    readonly errors?: unknown[];
    readonly location?: string;
  };
  readonly stats: {
    readonly framesDecoded: number;
    readonly audioEnergy: number;
    readonly audioSamples: number;
    readonly packetsLost: number;
  };
  /** The browser's whole account of the video it received. */
  readonly video: Record<string, number>;
  /** Our description, as it took it. */
  readonly answer: string;
  readonly endedMs: number;
}

const wholeVideoReport = `(async () => {
  for (const report of (await state.peer.getStats()).values())
    if (report.type === "inbound-rtp" && report.kind === "video") return report;
})()`;

/** On a machine that decodes slowly it plays on until it has shown 200 pictures, or half a minute is over. */
async function playForTenSeconds(page: string): Promise<Played> {
  const tab = await browser.newPage();
  try {
    await tab.goto(page);
    await tab.waitForFunction("typeof state === 'object' && state.frames > 0", undefined, { timeout: 15_000 });
    await tab.waitForTimeout(10_000);
    const hasEnough = async (): Promise<boolean> => {
      const { framesDecoded }: Played["stats"] = await tab.evaluate("stats()");
      return framesDecoded >= 200;
    };
    await until("200 pictures are decoded", 20_000, hasEnough).catch(() => {});
    const played: Played = {
      stats: await tab.evaluate("stats()"),
      video: await tab.evaluate(wholeVideoReport),
      answer: await tab.evaluate("state.peer?.remoteDescription.sdp ?? ''"),
      endedMs: performance.now(),
      state: await tab.evaluate("({ ...state, peer: undefined })"),
    };
    return played;
  } finally {
    await tab.close();
  }
}

const whepPage = ({ url }: WebRtcNode): string => `${pages.url}/whep.html?endpoint=${url}/app/stream/whep`;
const ovenPlayerPage = ({ url }: WebRtcNode): string =>
  `${pages.url}/ovenplayer.html?file=${url.replace("http", "ws")}/app/stream`;

function assertPlayed({ stats }: Played): void {
  assert.ok(stats.framesDecoded >= 200, `${stats.framesDecoded} frames`);
  assert.ok(stats.audioSamples > 8 * 48_000 && stats.audioEnergy > 0, JSON.stringify(stats));
}

async function expectNoSession({ guest, hub }: WebRtcNode): Promise<void> {
  await until("the sessions are gone", 35_000, () => guest.stats.sessions === 0);
  assert.deepEqual(hub.list()[0]?.viewers, {});
}

test("a WHEP page decodes picture and sound; DELETE ends its session", async (t) => {
  const played = await playForTenSeconds(whepPage(node));
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assertPlayed(played);
  assert.equal(played.stats.packetsLost, 0);
  assert.equal((await fetch(played.state.location!, { method: "DELETE" })).status, 200);
  await expectNoSession(node);
});

test("OvenPlayer decodes picture and sound; closing its page ends the session", async (t) => {
  const played = await playForTenSeconds(ovenPlayerPage(node));
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assert.deepEqual(played.state.errors, []);
  assertPlayed(played);
  await expectNoSession(node);
});

test("OvenPlayer starts again by itself, on the same socket, when the stream's tracks change", async () => {
  await using changing = await openWebRtcNode(open);
  const tab = await browser.newPage();
  let sockets = 0;
  tab.on("websocket", () => sockets++);
  try {
    await tab.goto(ovenPlayerPage(changing));
    await tab.waitForFunction("typeof state === 'object' && state.frames > 10", undefined, { timeout: 15_000 });
    const { opened } = changing.guest.stats;
    const stream = changing.hub.find({ vhost: "default", app: "app", stream: "stream" })!;
    const { description } = stream;
    stream.describe({ ...description, tracks: description.tracks.filter(({ kind }) => kind === "video") }, true);
    await until("a new session", 10_000, () => changing.guest.stats.opened > opened);
    const frames: number = await tab.evaluate("state.frames");
    await tab.waitForFunction(`state.frames > ${frames + 30}`, undefined, { timeout: 10_000 });
    assert.equal(sockets, 1);
  } finally {
    await tab.close();
  }
  await expectNoSession(changing);
});

test("where UDP is blocked, transport=tcp plays over ICE-TCP", async (t) => {
  const played = await playForTenSeconds(`${whepPage(node)}?transport=tcp`);
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assertPlayed(played);
  assert.equal(played.stats.packetsLost, 0);
  await fetch(played.state.location!, { method: "DELETE" });
  await expectNoSession(node);
});

test("VP8, VP9 and AV1 play, whoever offers; a playout delay is kept by who is asked for one", async (t) => {
  type Asked = readonly ["vp8" | "vp9" | "av1", (node: WebRtcNode) => string, Partial<WebRtcConfig>?];
  const play = async ([codec, pageOf, config = {}]: Asked): Promise<number> => {
    const source = loopingSource(await makeIvfClip(codec), { epochMs: Date.now() - 60_000, burstMs: 2_000 });
    await using node = await openWebRtcNode(source, { config });
    const { stats, state, video } = await playForTenSeconds(pageOf(node));
    // Seconds, summed up over frames.
    const delay = video.jitterBufferTargetDelay! / video.jitterBufferEmittedCount!;
    t.diagnostic(`${codec}: first frame ${Math.round(state.firstMs)} ms, delay ${delay} s, ${JSON.stringify(stats)}`);
    assert.ok(stats.framesDecoded >= 200, `${stats.framesDecoded} frames of ${codec}`);
    return delay;
  };
  const delays = await Promise.all(
    (
      [
        ["vp8", whepPage, { playoutDelay: { minMs: 1_500, maxMs: 3_000 } }],
        ["vp9", whepPage],
        ["vp9", ovenPlayerPage],
        ["av1", whepPage],
        ["av1", ovenPlayerPage],
      ] as const
    ).map(play),
  );
  const [asked, ...others] = delays;
  assert.ok(asked! > 1.2 && asked! > 2 * Math.max(...others), `${delays.join(", ")} s`);
});

test("it plays over IPv6", async (t) => {
  await using six = await openWebRtcNode(open, { address: "::1" });
  const played = await playForTenSeconds(whepPage(six));
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assertPlayed(played);
});

test("OvenPlayer lists the renditions and changes to the one its viewer picks", async () => {
  const [large, small] = await Promise.all([
    makeClip({ seconds: 4, gop: 30, audio: "opus" }),
    makeClip({ seconds: 4, gop: 30, audio: "none", size: "160x90" }),
  ]);
  const low: Track = { ...small.tracks[0]!, id: 2, name: "low", bitrate: 200_000 };
  const tracks = [...large.tracks, low];
  const samples = [...large.samples, ...small.samples.map((sample) => ({ ...sample, trackId: 2 }))];
  const timeOf = (sample: Sample): number => sample.dts / tracks[sample.trackId]!.timescale;
  samples.sort((a, b) => timeOf(a) - timeOf(b));
  const inner = loopingSource({ ...large, tracks, samples }, { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  const names = { audioTrackName: large.tracks[1]!.name, videoIndexHint: -1, audioIndexHint: -1 };
  const renditions = [
    { name: "large", videoTrackName: large.tracks[0]!.name, ...names },
    { name: "small", videoTrackName: "low", ...names },
  ];
  const playlist = { name: "all", fileName: "all", webrtcAutoAbr: false, hlsChunklistPathDepth: 0, renditions };
  const playlists = [{ ...playlist, enableTsPackaging: false }];
  await using ladder = await openWebRtcNode(async (url, options) => {
    const source = await inner(url, options);
    return { ...source, description: { ...source.description, playlists } };
  });
  const tab = await browser.newPage();
  try {
    await tab.goto(`${ovenPlayerPage(ladder)}/all`);
    await tab.waitForFunction("typeof state === 'object' && state.frames > 10", undefined, { timeout: 15_000 });
    const labels: string[] = await tab.evaluate("player.getQualityLevels().map(({ label }) => label)");
    assert.deepEqual(labels, ["large", "small"]);
    assert.equal(await tab.evaluate("document.querySelector('video').videoWidth"), 320);
    await tab.evaluate("player.setCurrentQuality(1)");
    await tab.waitForFunction("document.querySelector('video').videoWidth === 160", undefined, { timeout: 5_000 });
    assert.deepEqual(await tab.evaluate("state.errors"), []);
  } finally {
    await tab.close();
  }
});

interface LossyRun {
  readonly played: Played;
  readonly deliveries: Deliveries;
}

/** Ten seconds over a path with 50 ms round trip and jitter. @param loss share of datagrams, each way */
async function playLossy(loss: number): Promise<LossyRun> {
  const ledger = new PacketLedger();
  await using faults = new AsyncDisposableStack();
  const lossy = await openWebRtcNode(open, {
    watch: (peer) => ledger.watch(peer),
    candidates: async ([candidate]) => {
      const random = seededRandom(Math.round(loss * 100));
      const onPassed = (datagram: Uint8Array): void => ledger.passed(datagram);
      const proxy = await UdpFaultProxy.open(candidate!.port, { loss, delayMs: 25, jitterMs: 10, random, onPassed });
      faults.use(proxy);
      return [{ ...candidate!, port: proxy.port }];
    },
  });
  faults.use(lossy);
  const played = await playForTenSeconds(`${whepPage(lossy)}&watch`);
  const [, media, rtx] = /a=ssrc-group:FID (\d+) (\d+)/.exec(played.answer)!;
  return { played, deliveries: ledger.deliveries(Number(media), Number(rtx), played.endedMs - 1_000) };
}

test("50 ms away and losing 5 % every packet arrives in the end and no picture stands; losing 15 % it plays on", async (t) => {
  // All three at a time: what the machine itself holds up is seen in the one that loses nothing.
  const [whole, five, fifteen] = await Promise.all([playLossy(0), playLossy(0.05), playLossy(0.15)]);
  for (const [name, { played, deliveries }] of Object.entries({ whole, five, fifteen })) {
    const { freezeCount, totalFreezesDuration, nackCount, retransmittedPacketsReceived } = played.video;
    const figures = { nackCount, retransmittedPacketsReceived, freezeCount, totalFreezesDuration };
    const { firstMs, longestStandMs } = played.state;
    t.diagnostic(`${name}: ${JSON.stringify({ firstMs, longestStandMs, ...deliveries, ...figures })}`);
    assertPlayed(played);
  }
  assert.equal(whole.deliveries.missing, 0);
  const { sent, dropped, missing } = five.deliveries;
  assert.ok(dropped > sent * 0.02, `${dropped} of ${sent} packets were dropped`);
  // 99.9 %; of fewer than a thousand packets one is less than that can be told from.
  assert.ok(missing <= Math.max(1, sent * 0.001), `${missing} of ${sent} packets never arrived`);
  // On the path's own clock, and without what this machine was late by: that is in the one that loses nothing.
  const bridgedMs = five.deliveries.longestMs - whole.deliveries.longestMs;
  assert.ok(bridgedMs <= 500, `${bridgedMs} ms until a lost packet was there`);
  assert.ok(five.deliveries.repeats <= sent * 0.25, `${five.deliveries.repeats} repeats of ${sent} packets`);
  const [stoodMs, machineMs] = [five.played.state.longestStandMs!, whole.played.state.longestStandMs!];
  assert.ok(stoodMs > 0 && machineMs > 0, "pictures were watched");
  // Nothing above 500 ms; where the machine itself held up pictures that nobody lost, nothing that is 400 ms worse.
  assert.ok(stoodMs <= Math.max(500, machineMs + 400), `a picture stood for ${stoodMs} ms, ${machineMs} without loss`);
  assert.ok(fifteen.deliveries.dropped > fifteen.deliveries.sent * 0.1);
});
