import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { checkServerXml } from "../../media-node/config/check.ts";

const root = new URL("../../", import.meta.url);
const text = readFileSync(new URL("docs/interop.md", root), "utf8");

test("every Server.xml of docs/interop.md is in order", () => {
  const blocks = [...text.matchAll(/```xml\n(.*?)```/gs)].map(([, block]) => block!);
  assert.equal(blocks.length, 4);
  for (const [index, block] of blocks.entries()) {
    const { output, exitCode } = checkServerXml(block, { path: `block ${index + 1}`, isStrict: true, env: {} });
    assert.equal(exitCode, 0, output);
  }
});

/** What docs/interop.md calls a player of HLS, and how one of the tests it names says it. */
const players: Record<string, RegExp> = {
  "hls.js 1.7": /hls\.js plays/,
  "hls.js 1.5": /"hls\.js 1\.5"/,
  OvenPlayer: /"OvenPlayer with hls\.js"/,
  Chromium: /"Chromium's own HLS with MPEG-TS"/,
  ffmpeg: /ffmpeg plays both tracks of MPEG-TS/,
  VLC: /VLC plays both tracks of/,
  GStreamer: /GStreamer plays both tracks of/,
};

test("each player in docs/interop.md is one that a test named there plays in", () => {
  const section = text.slice(text.indexOf("## HLS in players"));
  const files = [...section.matchAll(/`(test\/\S+\.test\.ts)`/g)].map(([, file]) => new URL(file!, root));
  assert.ok(files.length >= 9);
  for (const file of files) assert.ok(existsSync(file), file.pathname);
  const tests = files.map((file) => readFileSync(file, "utf8")).join("\n");
  const rows = [...section.matchAll(/^\| (\w.*?) *\|/gm)].map(([, first]) => first!).slice(1);
  assert.equal(rows.length, Object.keys(players).length);
  for (const [index, [player, said]] of Object.entries(players).entries()) {
    assert.ok(rows[index]!.startsWith(player), `${rows[index]} is not ${player}`);
    assert.match(tests, said);
  }
});
