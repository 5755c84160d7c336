// @roamhq/wrtc (libwebrtc, without H.264) as a WHEP player: VP8 decoded picture by picture, Opus as samples, AES-CM.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loopingSource } from "../support/looping-source.ts";
import { makeVp8AndOpusClip } from "../support/vp8-clip.ts";
import { openWebRtcNode } from "../support/webrtc-node.ts";

test("wrtc decodes 200 pictures and their sound", async (t) => {
  const source = loopingSource(await makeVp8AndOpusClip(), { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  await using node = await openWebRtcNode(source);
  const script = fileURLToPath(new URL("../support/wrtc-player.ts", import.meta.url));
  const player = spawn(process.execPath, [script, `${node.url}/app/stream/whep`, "200"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(player, "exit");
  const [line] = await Promise.race([once(createInterface(player.stdout), "line"), exited]);
  const played: { pictures: number; sounds: number; deleted: number } = JSON.parse(String(line));
  t.diagnostic(String(line));
  assert.ok(played.pictures >= 200 && played.sounds >= 400, String(line));
  assert.equal(played.deleted, 200);
  assert.equal(node.guest.stats.sessions, 0, "DELETE ended the session");
  await exited;
});
