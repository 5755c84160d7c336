// Every picture a server sends is decoded to the same pixels as the file it comes from.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Sample } from "../../media-node/core/sample.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { collectSource, dialLoopback } from "../support/collect-source.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { startRtspServer, type RtspServerProcess } from "../support/rtsp-server.ts";

/** What is encoded, how it is sent, and how it is written for a decoder. */
const clips = [
  {
    name: "H.264 without B-frames, several slices",
    path: "/slices",
    file: "slices.mp4",
    encode: ["-c:v", "libx264", "-bf", "0", "-slices", "4", "-g", "12"],
    launch: (file: string) =>
      `filesrc location=${file} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=-1`,
    extension: "h264",
  },
  {
    name: "H.264 with reordered B-frames",
    path: "/b-frames",
    file: "b-frames.mp4",
    encode: ["-c:v", "libx264", "-bf", "3", "-b_strategy", "0", "-g", "12"],
    launch: (file: string) =>
      `filesrc location=${file} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=-1`,
    extension: "h264",
  },
  {
    name: "H.265",
    path: "/h265",
    file: "h265.mp4",
    encode: ["-c:v", "libx265", "-x265-params", "bframes=2:keyint=12:log-level=none", "-tag:v", "hvc1"],
    launch: (file: string) =>
      `filesrc location=${file} ! qtdemux ! h265parse ! rtph265pay name=pay0 config-interval=-1`,
    extension: "h265",
  },
  {
    name: "VP8",
    path: "/vp8",
    file: "vp8.mkv",
    encode: ["-c:v", "libvpx", "-g", "12", "-deadline", "realtime", "-auto-alt-ref", "0"],
    launch: (file: string) => `filesrc location=${file} ! matroskademux ! rtpvp8pay name=pay0`,
    extension: "ivf",
  },
  {
    name: "VP9",
    path: "/vp9",
    file: "vp9.mkv",
    encode: ["-c:v", "libvpx-vp9", "-g", "12", "-deadline", "realtime", "-cpu-used", "8"],
    launch: (file: string) => `filesrc location=${file} ! matroskademux ! rtpvp9pay name=pay0`,
    extension: "ivf",
  },
] as const;
const frameCount = 50;

let folder: string;
let server: RtspServerProcess;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hearth-rtsp-"));
  for (const { file, encode } of clips) {
    const source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-frames:v", String(frameCount)];
    const args = ["-v", "error", ...source, "-pix_fmt", "yuv420p", "-b:v", "2M", ...encode, join(folder, file)];
    const { code, stderr } = await runProgram("ffmpeg", args);
    assert.equal(code, 0, stderr);
  }
  const mounts = clips.flatMap(({ path, file, launch }) => ["--mount", path, launch(join(folder, file))]);
  server = await startRtspServer(...mounts);
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

/** One hash of pixels a picture, in the order shown. */
async function pictureHashes(file: string): Promise<string[]> {
  const { code, stdout, stderr } = await runProgram("ffmpeg", ["-v", "error", "-i", file, "-f", "framemd5", "-"]);
  assert.equal(code, 0, stderr);
  const lines = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(",").at(-1)!.trim());
}

/** The simplest file of VP8 and VP9 frames there is. */
function toIvf(samples: readonly Sample[], codec: string): Buffer {
  const head = Buffer.alloc(32);
  head.write(`DKIF\0\0\x20\0${codec === "vp9" ? "VP90" : "VP80"}`, "latin1");
  head.writeUInt16LE(640, 12);
  head.writeUInt16LE(360, 14);
  head.writeUInt32LE(25, 16);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(samples.length, 24);
  const frames = samples.flatMap(({ data }, index) => {
    const frame = Buffer.alloc(12);
    frame.writeUInt32LE(data.length, 0);
    frame.writeUInt32LE(index, 4);
    return [frame, data];
  });
  return Buffer.concat([head, ...frames]);
}

for (const transport of ["tcp", "udp"] as const) {
  for (const { name, path, file, extension } of clips) {
    test(`${name} over ${transport} is decoded to the source's pixels`, async () => {
      const settingsOf = () => ({ transport });
      const open = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger, settingsOf });
      const source = await open(`rtsp://127.0.0.1:${server.port}${path}`, { signal: AbortSignal.timeout(10_000) });
      const { samples, until } = collectSource(source);
      await until(() => samples.length >= frameCount, 20_000);
      await source.close({ code: "done" });
      assert.deepEqual(source.description.tracks[0]?.video?.width, 640);
      for (const [index, { dts }] of samples.slice(1).entries()) assert.ok(dts > samples[index]!.dts);
      const shown = samples.map(({ pts }) => pts).sort((a, b) => a - b);
      for (const [index, pts] of shown.slice(1).entries()) {
        // A first sender report may move the clock, by a fiftieth of what passes between two decoded pictures.
        assert.ok(Math.abs(pts - shown[index]! - 3_600) <= 450, `a step of ${pts - shown[index]!} ticks`);
      }
      const pulled = join(folder, `pulled-${transport}${path.slice(1)}.${extension}`);
      await writeFile(
        pulled,
        extension === "ivf"
          ? toIvf(samples, source.description.tracks[0].codec)
          : Buffer.concat(samples.map(({ data }) => data)),
      );
      assert.deepEqual(await pictureHashes(pulled), await pictureHashes(join(folder, file)));
    });
  }
}
