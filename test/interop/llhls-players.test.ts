// LL-HLS in the players people use: hls.js in a real Chromium, and ffmpeg.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip, type Clip, type ClipOptions } from "../support/clip.ts";
import { playerFiles, playInChromium } from "../support/hls-player.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";

const run = promisify(execFile);

async function withNode(clip: Clip, epochMs: number, use: (node: LlHlsNode) => Promise<void>): Promise<void> {
  const open = loopingSource(clip, { epochMs, burstMs: 4_000 });
  const node = await startLlHlsNode({ open, page: playerFiles });
  try {
    await use(node);
  } finally {
    await node.close();
  }
}

test("hls.js plays 15 s in low-latency mode without a stall, with times since 1970", { timeout: 90_000 }, async (t) => {
  await withNode(await makeClip({ seconds: 10 }), 0, async (node) => {
    const playback = await playInChromium(node.baseUrl, 15);
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
      const playback = await playInChromium(node.baseUrl, 10);
      t.diagnostic(JSON.stringify(playback));
      assert.deepEqual(playback.errors, []);
      assert.equal(playback.stalls, 0);
    });
  });
}

test(
  "hls.js plays a camera whose first segment takes longer than a request is held",
  { timeout: 90_000 },
  async (t) => {
    const clip = await makeClip({ seconds: 20, framerate: 25, gop: 250 });
    const node = await startLlHlsNode({
      open: (...asked) => loopingSource(clip, { epochMs: Date.now(), burstMs: 0 })(...asked),
      page: playerFiles,
      config: { segmentMs: 10_000 },
    });
    t.after(() => node.close());
    const playback = await playInChromium(node.baseUrl, 3);
    t.diagnostic(JSON.stringify(playback));
    assert.deepEqual(playback.errors, []);
    assert.equal(playback.stalls, 0);
  },
);

test("hls.js plays Opus where there is no AAC", { timeout: 90_000 }, async (t) => {
  await withNode(await makeClip({ seconds: 10, audio: "opus" }), Date.now() - 60_000, async (node) => {
    const playback = await playInChromium(node.baseUrl, 4);
    t.diagnostic(JSON.stringify(playback));
    assert.deepEqual(playback.errors, []);
  });
});

for (const video of ["av1", "vp9"] as const) {
  test(`hls.js plays ${video}`, { timeout: 90_000 }, async (t) => {
    await withNode(await makeClip({ seconds: 6, video }), Date.now() - 60_000, async (node) => {
      const master = await (await fetch(`${node.baseUrl}/app/stream/llhls.m3u8`)).text();
      assert.match(master, video === "av1" ? /CODECS="av01\.0\.\d\d[MH]\.08,mp4a/ : /CODECS="vp09\.00\.\d\d\.08,mp4a/);
      const playback = await playInChromium(node.baseUrl, 3);
      t.diagnostic(JSON.stringify(playback));
      assert.deepEqual(playback.errors, []);
      assert.ok(playback.frames >= 60, `${playback.frames} frames`);
    });
  });
}

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
