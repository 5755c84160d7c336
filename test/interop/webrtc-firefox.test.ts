// Firefox as a WHEP player: VP8 and Opus. (Its H.264 is a plug-in that it downloads at run time.)
import assert from "node:assert/strict";
import { test } from "node:test";
import { openFirefox } from "../support/firefox.ts";
import { loopingSource } from "../support/looping-source.ts";
import { ownAddress } from "../support/own-address.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";
import { makeVp8AndOpusClip } from "../support/vp8-clip.ts";
import { openWebRtcNode } from "../support/webrtc-node.ts";

test("Firefox decodes 200 pictures and their sound", async (t) => {
  const source = loopingSource(await makeVp8AndOpusClip(), { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  await using node = await openWebRtcNode(source, { address: ownAddress() });
  await using pages = await servePages();
  await using firefox = await openFirefox();
  const page = await firefox.open(`${pages.url}/whep.html?endpoint=${node.url}/app/stream/whep`);
  const stats = await until("200 pictures are decoded", 40_000, async () => {
    const now = (await page.evaluate("stats()")) as { framesDecoded: number; audioSamples: number };
    return now.framesDecoded >= 200 && now;
  });
  t.diagnostic(JSON.stringify(stats));
  assert.ok(stats && stats.audioSamples > 3 * 48_000, JSON.stringify(stats));
  const location = String(await page.evaluate("state.location"));
  assert.equal((await fetch(location, { method: "DELETE" })).status, 200);
});
