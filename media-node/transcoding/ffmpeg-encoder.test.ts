import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const script = `
  import { openSync } from "node:fs";
  import { ffmpegEncoders } from ${JSON.stringify(new URL("ffmpeg-encoder.ts", import.meta.url).href)};
  const open = ffmpegEncoders(process.execPath);
  try { for (;;) openSync("/dev/null", "r"); } catch {}
  const setting = { channels: 2, decoderConfig: Uint8Array.of(0x11, 0x90), frameSeconds: 1024 / 48000 };
  const encoder = open(setting, { onPreSkip() {}, onPacket() {}, onEnd: (message) => console.log(message) });
  console.log(encoder.push(Uint8Array.of(1)));
  await encoder.close();
  await encoder.close();
`;

test("without a descriptor left for a child an encoder ends like any other, and the process goes on", async () => {
  const command = 'ulimit -n 64; exec "$0" --input-type=module -e "$1"';
  const { stdout } = await promisify(execFile)("sh", ["-c", command, process.execPath, script]);
  const [pushed, message, ...more] = stdout.trim().split("\n");
  assert.equal(pushed, "false");
  assert.match(message ?? "", /^ffmpeg cannot be started: .*EMFILE/);
  assert.deepEqual(more, []);
});
