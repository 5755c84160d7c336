// The floor plan as data: which room may import which (docs/architecture.md).
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const ground = ["bytes", "time", "flow"];
const formats = ["rtp", "sdp", "cmaf", "mpegts", "codecs"];
const agreement = ["cluster", "config"];
const guests = ["ovt", "rtsp", "srt", "file", "webrtc", "llhls", "stores", "transcoding"];
const guest = ["core", ...formats, ...agreement, ...ground];

/** Which rooms each room may import, besides itself. Lowest floor first. */
const mayImport: Record<string, string[]> = {
  bytes: [],
  time: [],
  flow: ["time"],
  cluster: [],
  config: ["cluster"],
  codecs: ground,
  sdp: ground,
  rtp: ["codecs", ...ground],
  cmaf: ["codecs", ...ground],
  mpegts: ["codecs", ...ground],
  core: ["codecs", ...ground],
  ...Object.fromEntries(guests.map((room) => [room, guest])),
  api: ["core", ...agreement, ...ground],
  functions: agreement,
};

/** Files at the top of the house may import every room. */
const roof = /^media-node\/[^/]+\.ts$/;

/** `media-node/rtsp/x.ts` is in `rtsp`; everything under `functions/` is one room. */
const roomOf = (path: string): string => (path.startsWith("functions/") ? "functions" : path.split("/")[1]!);

test("every import respects the floor plan", () => {
  const files = ["functions", "media-node"]
    .flatMap((root) => readdirSync(root, { recursive: true, encoding: "utf8" }).map((file) => join(root, file)))
    .filter(
      (file) =>
        file.endsWith(".ts") && !file.endsWith(".test.ts") && !file.includes("node_modules") && !roof.test(file),
    );
  assert.notEqual(files.length, 0, "no file was checked");
  const imports = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\b(?:from|import)\s*\(?\s*"([.#][^"]+)"/g)].map(([, to]) => ({
      file,
      target: to!.startsWith("#") ? to!.replace("#", "media-node/") : relative(".", join(dirname(file), to!)),
    })),
  );
  assert.notEqual(imports.length, 0, "no import was checked");
  const trespasses = imports
    .filter(({ file, target }) => roomOf(target) !== roomOf(file) && !mayImport[roomOf(file)]?.includes(roomOf(target)))
    .map(({ file, target }) => `${file} -> ${target}`);
  assert.deepEqual(trespasses, []);
});
