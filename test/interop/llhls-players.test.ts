// LL-HLS in the players people use: hls.js in a real Chromium, and ffmpeg.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { promisify } from "node:util";
import { chromium, type Page } from "playwright-core";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip, type Clip, type ClipOptions } from "../support/clip.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";

const run = promisify(execFile);

const page = `<!doctype html><video id=v muted autoplay playsinline width=320></video><script src="/hls.js"></script>`;

function pageFiles(path: string): { type: string; body: string } | undefined {
  if (path === "/") return { type: "text/html", body: page };
  if (path !== "/hls.js") return undefined;
  return { type: "text/javascript", body: readFileSync("node_modules/hls.js/dist/hls.min.js", "utf8") };
}

interface Playback {
  readonly time: number;
  readonly frames: number;
  readonly stalls: number;
  readonly errors: readonly string[];
  readonly latency: number;
  readonly startMs: number;
}

/** Runs in the page. */
const startScript = (url: string): string => `
  const hls = globalThis.hls = new Hls({ lowLatencyMode: true });
  const video = document.getElementById("v");
  const state = globalThis.state = { stalls: 0, errors: [], startedMs: performance.now(), playingMs: 0 };
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push(data.details + (data.fatal ? " (fatal)" : "")));
  video.addEventListener("playing", () => (state.playingMs ||= performance.now()));
  video.addEventListener("waiting", () => state.playingMs && state.stalls++);
  hls.loadSource(${JSON.stringify(url)});
  hls.attachMedia(video);
`;

/** Plays `url` with hls.js in low-latency mode for `seconds` from the first frame on. */
async function play(tab: Page, url: string, seconds: number): Promise<Playback> {
  const until = (condition: string, timeout: number) => tab.waitForFunction(condition, undefined, { timeout });
  await tab.evaluate(startScript(url));
  await until("state.playingMs > 0 && document.getElementById('v').currentTime > 0", 20_000);
  const from = Number(await tab.evaluate("document.getElementById('v').currentTime"));
  await until(`document.getElementById('v').currentTime >= ${from + seconds}`, seconds * 2_000);
  return tab.evaluate(`({
    time: document.getElementById('v').currentTime,
    frames: document.getElementById('v').getVideoPlaybackQuality().totalVideoFrames,
    stalls: state.stalls, errors: state.errors, latency: hls.latency, startMs: state.playingMs - state.startedMs,
  })`);
}

async function withNode(clip: Clip, epochMs: number, use: (node: LlHlsNode) => Promise<void>): Promise<void> {
  const open = loopingSource(clip, { epochMs, burstMs: 4_000 });
  const node = await startLlHlsNode({ open, page: pageFiles });
  try {
    await use(node);
  } finally {
    await node.close();
  }
}

async function playInChromium(node: LlHlsNode, seconds: number): Promise<Playback> {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
  });
  try {
    const tab = await browser.newPage();
    await tab.goto(`${node.baseUrl}/`);
    return await play(tab, `${node.baseUrl}/app/stream/llhls.m3u8`, seconds);
  } finally {
    await browser.close();
  }
}

test("hls.js plays 15 s in low-latency mode without a stall, with times since 1970", { timeout: 90_000 }, async (t) => {
  await withNode(await makeClip({ seconds: 10 }), 0, async (node) => {
    const playback = await playInChromium(node, 15);
    t.diagnostic(JSON.stringify(playback));
    assert.deepEqual(playback.errors, []);
    assert.equal(playback.stalls, 0);
    assert.ok(playback.frames >= 14 * 30, `${playback.frames} frames`);
    assert.ok(playback.latency < 2, `${playback.latency} s behind`);
  });
});

const kinds: Record<string, ClipOptions> = {
  "key frames further apart than a segment": { seconds: 16, gop: 120 },
  "29.97 Hz and B-frames": { seconds: 10, framerate: 30000 / 1001, gop: 60, videoArgs: ["-bf", "2", "-b:v", "500k"] },
  "audio alone": { seconds: 10, hasVideo: false },
};

for (const [kind, options] of Object.entries(kinds)) {
  test(`hls.js plays ${kind}`, { timeout: 90_000 }, async (t) => {
    await withNode(await makeClip(options), hearthEpochMs, async (node) => {
      const playback = await playInChromium(node, 10);
      t.diagnostic(JSON.stringify(playback));
      assert.deepEqual(playback.errors, []);
      assert.equal(playback.stalls, 0);
    });
  });
}

test("hls.js plays Opus where there is no AAC", { timeout: 90_000 }, async (t) => {
  await withNode(await makeClip({ seconds: 10, audio: "opus" }), Date.now() - 60_000, async (node) => {
    const playback = await playInChromium(node, 4);
    t.diagnostic(JSON.stringify(playback));
    assert.deepEqual(playback.errors, []);
  });
});

test("ffmpeg plays 10 s of both tracks without an error", { timeout: 90_000 }, async () => {
  await withNode(await makeClip({ seconds: 10 }), 0, async (node) => {
    const url = `${node.baseUrl}/app/stream/llhls.m3u8`;
    const { stderr } = await run("ffmpeg", ["-v", "info", "-i", url, "-t", "10", "-f", "null", "-"]);
    assert.match(stderr, /Video: h264/);
    assert.match(stderr, /Audio: aac/);
    const { stderr: errors } = await run("ffmpeg", ["-v", "error", "-i", url, "-t", "4", "-f", "null", "-"]);
    assert.equal(errors, "");
    const frames = Number([...stderr.matchAll(/frame=\s*(\d+)/g)].at(-1)?.[1]);
    assert.ok(frames >= 295, `${frames} frames in 10 s`);
  });
});
