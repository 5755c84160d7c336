// HLS version 3 in the players people use: hls.js in a real Chromium, and ffmpeg.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip } from "../support/clip.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { playerFiles, playInChromium } from "../support/hls-player.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";

let node: LlHlsNode;

before(async () => {
  const clip = await makeClip({ seconds: 10, videoArgs: ["-bf", "2", "-b:v", "500k"] });
  const open = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 9_000 });
  node = await startLlHlsNode({ open, page: playerFiles, config: { partMs: 2_000, mpegTs: { isPlainTaken: false } } });
});

after(() => node?.close());

test("hls.js plays MPEG-TS over several segments without a stall", { timeout: 60_000 }, async (t) => {
  const playback = await playInChromium(node.baseUrl, 6, "ts:playlist.m3u8");
  t.diagnostic(JSON.stringify(playback));
  assert.deepEqual(playback.errors, []);
  assert.equal(playback.stalls, 0);
  assert.ok(playback.frames >= 150, `${playback.frames} frames`);
});

test("ffmpeg plays segment after segment and misses nothing", { timeout: 60_000 }, async () => {
  const url = `${node.baseUrl}/app/stream/ts:playlist.m3u8`;
  const { stderr, code } = await runProgram("ffmpeg", ["-v", "info", "-i", url, "-t", "7", "-f", "null", "-"]);
  assert.equal(code, 0);
  assert.match(stderr, /Video: h264/);
  assert.match(stderr, /Audio: aac/);
  assert.doesNotMatch(stderr, /corrupt|continuity|non.?monoton|error|skipping/i);
  const frames = Number([...stderr.matchAll(/frame=\s*(\d+)/g)].at(-1)?.[1]);
  assert.ok(frames >= 205, `${frames} frames in 7 s`);
});
