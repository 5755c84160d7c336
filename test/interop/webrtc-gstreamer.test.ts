// GStreamer's webrtcbin (libnice, its own DTLS and SRTP) as a WHEP player: H.264 and Opus, decoded.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { makeClip } from "../support/clip.ts";
import { loopingSource } from "../support/looping-source.ts";
import { ownAddress } from "../support/own-address.ts";
import { openWebRtcNode } from "../support/webrtc-node.ts";

test("webrtcbin decodes 200 pictures and their sound within 10 seconds", async (t) => {
  const clip = await makeClip({ seconds: 4, gop: 30, audio: "opus" });
  const source = loopingSource(clip, { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  // libnice ignores loopback addresses.
  await using node = await openWebRtcNode(source, { address: ownAddress() });
  const script = join(import.meta.dirname, "../support/whep-player.py");
  const { stdout } = await promisify(execFile)("/usr/bin/python3", [script, `${node.url}/app/stream/whep`, "10"], {
    timeout: 40_000,
  });
  const decoded: { H264: number; OPUS: number } = JSON.parse(stdout);
  t.diagnostic(stdout.trim());
  assert.ok(decoded.H264 >= 200, `${decoded.H264} pictures`);
  assert.ok(decoded.OPUS >= 300, `${decoded.OPUS} packets of sound`);
  assert.equal(node.guest.stats.sessions, 0, "DELETE ended the session");
});
