// The path of a real picture: clip → origin → OVT → edge → router → players, each of them the real thing.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { decode, probeStreams } from "../support/ffmpeg.ts";
import { assertInOrder } from "../support/frame-order.ts";
import { readMetrics } from "../support/metrics.ts";
import { ownAddress } from "../support/own-address.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";

let cluster: LaptopCluster;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  // Libnice sends nothing to a loopback address.
  const nodeEnv = { HEARTH_UNUSED_MS: "2000", HEARTH_IP: "*", HEARTH_MEDIA_ADDRESS: ownAddress() };
  cluster = await startLaptopCluster({ routerPort: 0, nodeEnv });
  pages = await servePages();
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await cluster?.close();
});

const webSocketUrl = (): string => `${cluster.url.replace("http", "ws")}/app/stream`;
const ovtConnections = async (kind: "opened" | "live"): Promise<number> =>
  (await readMetrics(cluster.ready.get("origin-1")!.operatorPort!)).get(`hearth_ovt_connections_${kind}`)!;

interface ClusterNode {
  readonly protocols: readonly string[];
  readonly streams: Readonly<Record<string, number>>;
}

interface RtcState {
  readonly numbers: number[];
  readonly firstMs: number | undefined;
}

async function playForTenSeconds(url: string): Promise<{ state: RtcState & Record<string, unknown>; stats: RtcStats }> {
  const page = await browser.newPage();
  try {
    await page.goto(url);
    await page.waitForFunction("typeof state === 'object' && state.frames > 0", undefined, { timeout: 15_000 });
    await page.waitForTimeout(10_000);
    const stats = (await page.evaluate("stats()")) as RtcStats;
    const state = (await page.evaluate("({ ...state, peer: undefined })")) as RtcState & Record<string, unknown>;
    return { state, stats };
  } finally {
    await page.close();
  }
}

interface RtcStats {
  readonly framesDecoded: number;
  readonly audioEnergy: number;
  readonly audioSamples: number;
}

test("no edge pulls before the first viewer", async () => {
  assert.equal(await ovtConnections("opened"), 0);
});

test("a WHEP client follows the 307 and decodes picture and sound, frames in order", async () => {
  const { state, stats } = await playForTenSeconds(`${pages.url}/whep.html?endpoint=${cluster.url}/app/stream/whep`);
  assert.equal(state["status"], 201, String(state["error"]));
  assert.equal(state["redirected"], true);
  assert.match(String(state["location"]), /^http:\/\/127\.0\.0\.1:\d+\//);
  assert.ok(stats.framesDecoded >= 200, `${stats.framesDecoded} frames`);
  assert.ok(stats.audioSamples > 8 * 48_000 && stats.audioEnergy > 0, `audio: ${JSON.stringify(stats)}`);
  assert.ok(state.numbers.length > 150, `${state.numbers.length} numbers read`);
  assertInOrder(state.numbers);
});

test("OvenPlayer plays over the router's WebSocket, picture and sound, frames in order", async () => {
  const { state, stats } = await playForTenSeconds(`${pages.url}/ovenplayer.html?file=${webSocketUrl()}`);
  assert.deepEqual(state["errors"], []);
  assert.ok(stats.framesDecoded >= 200, `${stats.framesDecoded} frames`);
  assert.ok(stats.audioSamples > 8 * 48_000 && stats.audioEnergy > 0, `audio: ${JSON.stringify(stats)}`);
  assertInOrder(state.numbers);
});

test("GStreamer's webrtcbin, with its own DTLS and by AES-CM, decodes 200 pictures and their sound within 10 seconds", async (t) => {
  const script = join(import.meta.dirname, "../support/whep-player.py");
  const { stdout } = await promisify(execFile)("/usr/bin/python3", [script, `${cluster.url}/app/stream/whep`, "10"], {
    timeout: 40_000,
  });
  const decoded: { H264: number; OPUS: number; ciphers: string[] } = JSON.parse(stdout);
  t.diagnostic(stdout.trim());
  assert.ok(decoded.H264 >= 200, `${decoded.H264} pictures`);
  assert.ok(decoded.OPUS >= 300, `${decoded.OPUS} packets of sound`);
  assert.deepEqual(decoded.ciphers, ["AES128_CM_SHA1_80"]);
});

test("hls.js plays 15 s in low-latency mode without a stall, frames in order", async () => {
  const page = await browser.newPage();
  await page.goto(`${pages.url}/hls.html?file=${cluster.url}/app/stream/llhls.m3u8`);
  await page.waitForFunction("typeof state === 'object' && state.frames > 0", undefined, { timeout: 15_000 });
  await page.waitForTimeout(15_000);
  const state = (await page.evaluate("({ ...state, latency: hls.latency })")) as RtcState & Record<string, unknown>;
  await page.close();
  assert.equal(state["isLowLatency"], true);
  assert.equal(state["stalls"], 0);
  assert.deepEqual(
    (state["errors"] as { fatal: boolean }[]).filter(({ fatal }) => fatal),
    [],
  );
  assert.ok(Number(state["frames"]) > 300, `${String(state["frames"])} frames`);
  assert.ok(Number(state["latency"]) < 3, `${String(state["latency"])} s behind`);
  assertInOrder(state.numbers);
});

test("ffmpeg plays ten seconds of the LL-HLS without a decoding error, both tracks", async () => {
  const url = `${cluster.url}/app/stream/llhls.m3u8`;
  const kinds = (await probeStreams(url)).map(({ codec_type, codec_name }) => `${codec_type} ${codec_name}`);
  assert.deepEqual(kinds.toSorted(), ["audio aac", "video h264"]);
  const { code, errors, frames, audioMs } = await decode(url, 10);
  assert.equal(errors, "");
  assert.equal(code, 0);
  assert.ok(frames >= 245 && audioMs >= 9_900, `${frames} frames, ${audioMs} ms`);
});

test("GStreamer's HTTP source follows the router's redirect to a node's playlist", async () => {
  const location = `location=${cluster.url}/app/stream/llhls.m3u8`;
  const { stdout } = await promisify(execFile)(
    "gst-launch-1.0",
    ["-q", "souphttpsrc", location, "!", "fdsink", "fd=1"],
    { timeout: 30_000 },
  );
  assert.match(stdout, /^#EXTM3U\n/);
  assert.match(stdout, /^#EXT-X-STREAM-INF:/m);
});

test("an edge opens one OVT connection for many viewers, and closes it after the last", async () => {
  await until("the pulls end", 45_000, async () => (await ovtConnections("live")) === 0);
  const before_ = await ovtConnections("opened");
  const page = await browser.newPage();
  await page.goto(`${pages.url}/whep.html?endpoint=${cluster.url}/app/stream/whep`);
  await page.waitForFunction("typeof state === 'object' && state.frames > 0");
  const viewers = await Promise.all(
    Array.from({ length: 30 }, async () => (await fetch(`${cluster.url}/app/stream/llhls.m3u8`)).status),
  );
  assert.deepEqual(new Set(viewers), new Set([200]));
  // A rush of viewers may be spread over several edges; each reports within two seconds that it carries the stream.
  const carriers = await until("the registry names as many carriers as there are connections", 10_000, async () => {
    const { nodes } = (await (await fetch(`${cluster.url}/-/cluster`)).json()) as { nodes: ClusterNode[] };
    const count = nodes.filter((node) => node.protocols.length > 0 && "default/app/stream" in node.streams).length;
    return (await ovtConnections("live")) === count && count;
  });
  assert.equal((await ovtConnections("opened")) - before_, carriers, "each pulled once");
  await page.close();
  await until("the last viewer is gone and so are the pulls", 40_000, async () => (await ovtConnections("live")) === 0);
});

test("the page plays both and shows who serves and why", async () => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(`${cluster.url}/`);
  await page.waitForFunction(
    "window.hearth?.webrtc.latencyMs !== undefined && hearth.llhls.latencyMs !== undefined",
    undefined,
    {
      timeout: 20_000,
    },
  );
  await page.waitForTimeout(4_000);
  const artefacts = join(import.meta.dirname, "../artefacts");
  await mkdir(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, "page.png") });
  const seen = (await page.evaluate(
    "['webrtc', 'llhls'].map((kind) => { const { node, reason, latencyMs, outOfOrder, frames } = hearth[kind]; return { node, reason, latencyMs, outOfOrder, frames }; })",
  )) as { node: string; reason: string; latencyMs: number; outOfOrder: number; frames: number }[];
  for (const { node, reason, outOfOrder, frames } of seen) {
    assert.match(node, /^edge-[12]$/);
    assert.ok(reason.length > 10, reason);
    assert.equal(outOfOrder, 0);
    assert.ok(frames > 50);
  }
  const map = await page.locator("#map").innerText();
  for (const word of ["origin-1", "edge-1", "edge-2", "app/stream"]) assert.ok(map.includes(word), map);
  assert.deepEqual(complaints, []);
  await page.close();
});
