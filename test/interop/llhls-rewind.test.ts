// A viewer goes back further than the live window: hls.js in a real Chromium, on segments from the disk.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip } from "../support/clip.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";

const script = (url: string): string => `
  const hls = globalThis.hls = new Hls({ lowLatencyMode: true });
  const state = globalThis.state = { errors: [], files: [] };
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push(data.details));
  hls.on(Hls.Events.FRAG_LOADED, (_, data) => state.files.push(data.frag.relurl));
  hls.loadSource(${JSON.stringify(url)});
  hls.attachMedia(document.getElementById("v"));
`;

test("hls.js seeks back to the beginning of the window and plays from there", { timeout: 90_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "hearth-rewind-test-"));
  const open = loopingSource(await makeClip({ seconds: 10 }), { epochMs: hearthEpochMs, burstMs: 10_000 });
  const rewind = { folder, windowMs: 60_000, isDefault: true };
  const node = await startLlHlsNode({ open, page: playerFiles, config: { segmentMs: 1_000, segmentCount: 3, rewind } });
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
  });
  t.after(async () => {
    await browser.close();
    await node.close();
    await rm(folder, { recursive: true, force: true });
  });
  const tab = await browser.newPage();
  await tab.goto(`${node.baseUrl}/`);
  await tab.evaluate(script(`${node.baseUrl}/app/stream/llhls.m3u8`));
  const until = (condition: string) => tab.waitForFunction(condition, undefined, { timeout: 30_000 });
  await until("v.currentTime > 0 && v.seekable.length > 0 && v.seekable.end(0) - v.seekable.start(0) > 9");
  const before = Number(await tab.evaluate("v.currentTime"));
  await tab.evaluate("state.files.length = 0, v.currentTime = v.seekable.start(0) + 0.5");
  const from = Number(await tab.evaluate("v.currentTime"));
  assert.ok(before - from > 6, `${before - from} s back`);
  await until(`v.currentTime > ${from + 2} && v.currentTime < ${from + 6}`);
  const { errors, files } = (await tab.evaluate("state")) as { errors: string[]; files: string[] };
  // What it was loading when it sought, it gave up itself.
  assert.deepEqual(
    errors.filter((error) => error !== "aborted"),
    [],
  );
  assert.ok(
    files.some((file) => file.startsWith("seg_")),
    "whole segments were loaded",
  );
  assert.ok(node.guest.stats.rewind.files > 10);
});
