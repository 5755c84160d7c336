// A viewer goes back further than the live window, on segments from the disk: hls.js, and OvenPlayer whose requests go to two
// edges in turn, in a real Chromium.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { openBrowser } from "../support/browser.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip } from "../support/clip.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { servePages } from "../support/page-server.ts";
import { startRoundRobin } from "../support/round-robin.ts";

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

test("OvenPlayer seeks back while its requests go to two edges in turn", { timeout: 90_000 }, async (t) => {
  await using stack = new AsyncDisposableStack();
  const epochMs = hearthEpochMs;
  const clip = await makeClip({ seconds: 10 });
  const startEdge = async (): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), "hearth-rewind-test-"));
    stack.defer(() => rm(folder, { recursive: true, force: true }));
    const rewind = { folder, windowMs: 60_000, isDefault: false };
    const node = await startLlHlsNode({
      open: loopingSource(clip, { epochMs, burstMs: 10_000 }),
      config: { segmentMs: 1_000, segmentCount: 3, rewind },
      secret: "shared by both",
    });
    stack.defer(() => node.close());
    return node.baseUrl;
  };
  const edges = [await startEdge(), await startEdge()];
  const pages = stack.use(await servePages());
  const balancer = await startRoundRobin(edges, () => false);
  stack.defer(() => balancer.close());
  const browser = stack.use(await openBrowser());
  // The same media at both from the beginning on: what is rewound to is on either disk.
  const master = `${balancer.baseUrl}/app/stream/llhls.m3u8?_HLS_rewind=YES`;
  await Promise.all(edges.map((edge) => fetch(master.replace(balancer.baseUrl, edge)).then((it) => it.text())));
  const tab = await browser.newPage();
  await tab.goto(`${pages.url}/ovenplayer.html?type=llhls&file=${encodeURIComponent(master)}`);
  const until = (condition: string) => tab.waitForFunction(condition, undefined, { timeout: 30_000 });
  const video = "document.querySelector('video')";
  await until(
    `${video}?.currentTime > 0 && ${video}.seekable.length > 0 && ${video}.seekable.end(0) - ${video}.seekable.start(0) > 12`,
  );
  const before = Number(await tab.evaluate(`${video}.currentTime`));
  const from = Number(await tab.evaluate(`${video}.seekable.start(0) + 1`));
  assert.ok(before - from > 6, `${before - from} s back`);
  const asked = balancer.answers.length;
  await tab.evaluate(`player.seek(${from})`);
  await until(`${video}.currentTime > ${from + 3} && ${video}.currentTime < ${from + 7}`);
  const { errors } = (await tab.evaluate("({ errors: state.errors })")) as { errors: string[] };
  const whole = balancer.answers.slice(asked).filter((answer) => answer.includes("/seg_"));
  t.diagnostic(`${balancer.answers.length} answers, ${whole.length} segments since the seek`);
  assert.deepEqual(errors, []);
  assert.ok(whole.length >= 4, `${whole.length} whole segments`);
  assert.deepEqual(
    balancer.answers.filter((answer) => !answer.startsWith("200 ")),
    [],
  );
});
