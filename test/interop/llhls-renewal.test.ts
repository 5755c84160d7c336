// hls.js in a real Chromium, when the time of its viewer is over: it says why at once, and a page that renews the viewer's policy in
// time plays on without a seam.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { openBrowser } from "../support/browser.ts";
import { makeClip } from "../support/clip.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { until } from "../support/until.ts";

const lifetimeMs = 4_000;
const renewals = 3;

interface Seen {
  readonly errors: readonly string[];
  readonly time: number;
  readonly isFatal: boolean;
  readonly renewed: number;
}

/** Runs in the page; `isRenewing` is how a page goes on: a new token for the same addresses. */
const startScript = (isRenewing: boolean): string => `
  let token;
  const seen = globalThis.seen = { errors: [], time: 0, isFatal: false, renewed: 0 };
  const xhrSetup = (xhr, address) => {
    const url = new URL(address, location.href);
    if (token && url.searchParams.has("session")) {
      url.searchParams.set("session", token);
      xhr.open("GET", url.href, true);
    }
  };
  // Far enough behind that a busy machine shows in no picture.
  const hls = new Hls({ lowLatencyMode: true, liveSyncDuration: 2, xhrSetup });
  const video = document.getElementById("v");
  hls.on(Hls.Events.ERROR, (_, { details, fatal, response, networkDetails }) => {
    seen.errors.push([details, response?.code, networkDetails?.responseText].filter(Boolean).join(" "));
    seen.isFatal ||= fatal;
  });
  video.addEventListener("timeupdate", () => (seen.time = video.currentTime));
  hls.loadSource("/app/stream/llhls.m3u8");
  hls.attachMedia(video);
  if (${isRenewing}) setInterval(async () => {
    const master = await (await fetch("/app/stream/llhls.m3u8")).text();
    token = /session=([^\\n&"]+)/.exec(master)[1];
    seen.renewed++;
  }, ${lifetimeMs / 2});
`;

const seenBy = (tab: Page): Promise<Seen> => tab.evaluate("seen");

test("hls.js is told that its time is over; with a renewed policy it plays on", { timeout: 60_000 }, async (t) => {
  const clip = await makeClip({ seconds: 6 });
  const open = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 });
  const admit = async () => ({ isAdmitted: true, endsAtMs: Date.now() + lifetimeMs }) as const;
  const node = await startLlHlsNode({ open, admit, page: playerFiles, secret: "s3cret" });
  t.after(() => node.close());
  await using browser = await openBrowser();
  const [ending, renewing] = await Promise.all(
    [false, true].map(async (isRenewing) => {
      const tab = await browser.newPage();
      await tab.goto(`${node.baseUrl}/`);
      await tab.evaluate(startScript(isRenewing));
      return tab;
    }),
  );
  await until("the one to be told", 20_000, async () => (await seenBy(ending!)).isFatal);
  const { errors } = await seenBy(ending!);
  assert.ok(
    errors.some((error) => error === `levelLoadError 401 {"error":"this viewer's time is over"}\n`),
    String(errors),
  );
  await until("the other to be renewed", 20_000, async () => (await seenBy(renewing!)).renewed >= renewals);
  const renewed = await seenBy(renewing!);
  await until("it to play on", 10_000, async () => (await seenBy(renewing!)).time >= renewed.time + 1);
  const after = await seenBy(renewing!);
  t.diagnostic(JSON.stringify({ errors, after }));
  assert.deepEqual(after.errors, []);
});
