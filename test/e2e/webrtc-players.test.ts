// The WebRTC room alone with real players: clip → stream → fan-out → DTLS-SRTP → Chromium.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import type { MediaPort } from "../../media-node/webrtc/media-port.ts";
import { openMediaPort } from "../../media-node/webrtc/transport/open-media-port.ts";
import { createWebRtc, type WebRtcGuest } from "../../media-node/webrtc/web-rtc.ts";
import { openBrowser } from "../support/browser.ts";
import { makeClip } from "../support/clip.ts";
import { HttpDoor } from "../support/http-door.ts";
import { loopingSource } from "../support/looping-source.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";

let hub: StreamHub;
let port: MediaPort;
let guest: WebRtcGuest;
let door: HttpDoor;
let url: string;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  const clip = await makeClip({ seconds: 4, gop: 60, audio: "opus" });
  const open = loopingSource(clip, { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "test",
    openers: new Map([["loop", open]]),
    plan: () =>
      Promise.resolve({
        urls: ["loop://clip"],
        from: "rule",
        noInputTimeoutMs: 3_000,
        unusedTimeoutMs: 60_000,
        graceMs: 0,
        retryCount: 0,
        isPersistent: false,
      }),
  });
  port = await openMediaPort({
    addresses: ["127.0.0.1"],
    advertisedAddresses: ["127.0.0.1"],
    clock: systemClock,
    logger: silentLogger,
  });
  const admit = (): Promise<{ isAdmitted: true }> => Promise.resolve({ isAdmitted: true });
  guest = createWebRtc({ hub, port, admit, clock: systemClock, logger: silentLogger });
  door = new HttpDoor(guest);
  url = await door.open();
  pages = await servePages();
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await guest?.close({ code: "shutdown" });
  await door?.close();
  await port?.close();
  await hub?.close({ code: "shutdown" });
});

interface Played {
  readonly state: {
    readonly firstMs: number;
    readonly errors?: unknown[];
    readonly location?: string;
  };
  readonly stats: {
    readonly framesDecoded: number;
    readonly audioEnergy: number;
    readonly audioSamples: number;
    readonly packetsLost: number;
  };
}

async function playForTenSeconds(page: string): Promise<Played> {
  const tab = await browser.newPage();
  try {
    await tab.goto(page);
    await tab.waitForFunction("state.frames > 0", undefined, { timeout: 15_000 });
    await tab.waitForTimeout(10_000);
    const played: Played = {
      stats: await tab.evaluate("stats()"),
      state: await tab.evaluate("({ ...state, peer: undefined })"),
    };
    return played;
  } finally {
    await tab.close();
  }
}

function assertPlayed({ stats }: Played): void {
  assert.ok(stats.framesDecoded >= 200, `${stats.framesDecoded} frames`);
  assert.ok(stats.audioSamples > 8 * 48_000 && stats.audioEnergy > 0, JSON.stringify(stats));
  assert.equal(stats.packetsLost, 0);
}

async function expectNoSession(): Promise<void> {
  await until("the sessions are gone", 35_000, () => guest.stats.sessions === 0);
  assert.deepEqual(hub.list()[0]?.viewers, {});
}

test("a WHEP page decodes picture and sound; DELETE ends its session", async (t) => {
  const played = await playForTenSeconds(`${pages.url}/whep.html?endpoint=${url}/app/stream/whep`);
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assertPlayed(played);
  assert.equal((await fetch(played.state.location!, { method: "DELETE" })).status, 200);
  await expectNoSession();
});

test("OvenPlayer decodes picture and sound; closing its page ends the session", async (t) => {
  const played = await playForTenSeconds(`${pages.url}/ovenplayer.html?file=${url.replace("http", "ws")}/app/stream`);
  t.diagnostic(`first frame ${Math.round(played.state.firstMs)} ms, ${JSON.stringify(played.stats)}`);
  assert.deepEqual(played.state.errors, []);
  assertPlayed(played);
  await expectNoSession();
});

test("OvenPlayer starts again by itself, on the same socket, when the stream's tracks change", async () => {
  const tab = await browser.newPage();
  let sockets = 0;
  tab.on("websocket", () => sockets++);
  try {
    await tab.goto(`${pages.url}/ovenplayer.html?file=${url.replace("http", "ws")}/app/stream`);
    await tab.waitForFunction("state.frames > 10", undefined, { timeout: 15_000 });
    const { opened } = guest.stats;
    const stream = hub.find({ vhost: "default", app: "app", stream: "stream" })!;
    const { description } = stream;
    stream.describe({ ...description, tracks: description.tracks.filter(({ kind }) => kind === "video") }, true);
    await until("a new session", 10_000, () => guest.stats.opened > opened);
    const frames: number = await tab.evaluate("state.frames");
    await tab.waitForFunction(`state.frames > ${frames + 30}`, undefined, { timeout: 10_000 });
    assert.equal(sockets, 1);
  } finally {
    await tab.close();
  }
  await expectNoSession();
});
