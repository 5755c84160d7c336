// Pulls from VLC, whose RTSP server knows datagrams only and sends sound and picture with one payload type.
import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseAdtsFrames } from "../../media-node/codecs/aac.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSession } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { collectSource, dialLoopback } from "../support/collect-source.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { startVlcServer } from "../support/vlc-server.ts";

async function ffmpeg(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram("ffmpeg", ["-v", "error", "-y", ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** One hash of pixels a picture. */
async function pictureHashes(file: string): Promise<string[]> {
  const lines = (await ffmpeg("-i", file, "-map", "0:v", "-f", "framemd5", "-")).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split(",").at(-1)!.trim());
}

test("VLC is pulled over datagrams after it refused TCP; pictures and sound are those of its file", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "hearth-vlc-clip-"));
  const file = join(folder, "clip.mp4");
  try {
    await chmod(folder, 0o755);
    const inputs = [
      "-f",
      "lavfi",
      "-i",
      "testsrc2=size=320x240:rate=25",
      "-f",
      "lavfi",
      "-i",
      "sine=sample_rate=48000",
    ];
    const video = ["-c:v", "libx264", "-bf", "0", "-g", "12", "-pix_fmt", "yuv420p"];
    await ffmpeg(...inputs, "-t", "30", ...video, "-c:a", "aac", "-ac", "2", file);
    await ffmpeg("-i", file, "-c", "copy", join(folder, "sound.aac"));
    await using server = await startVlcServer(file);
    const options = { dial: dialLoopback, clock: systemClock, logger: silentLogger };
    const session = await openRtspSession(server.url, options, AbortSignal.timeout(15_000));
    const { samples, until } = collectSource(session);
    await until((all) => all.filter(({ trackId }) => trackId === 0).length >= 50, 20_000);
    const { facts, description } = session;
    await session.close({ code: "done" });
    t.diagnostic(JSON.stringify(facts));
    assert.equal(facts.transport, "udp");
    assert.deepEqual(
      description.tracks.map(({ codec, video, audio }) => [codec, video ?? audio]),
      [
        ["h264", { width: 320, height: 240, framerate: 25 }],
        ["aac", { sampleRate: 48_000, channels: 2 }],
      ],
    );
    const pictures = samples.filter(({ trackId }) => trackId === 0);
    const pulled = join(folder, "pulled.h264");
    await writeFile(pulled, Buffer.concat(pictures.map(({ data }) => data)));
    const [shown, original] = await Promise.all([pictureHashes(pulled), pictureHashes(file)]);
    assert.equal(shown.length, pictures.length);
    const at = original.indexOf(shown[0]!);
    assert.ok(at >= 0, "the first picture is none of the file");
    assert.deepEqual(shown, original.slice(at, at + shown.length));
    const frames = parseAdtsFrames(await readFile(join(folder, "sound.aac"))).map(({ data }) => hexOf(data));
    const heard = samples.filter(({ trackId }) => trackId === 1).map(({ data }) => hexOf(data));
    const first = frames.findIndex((_, index) => heard.every((frame, step) => frames[index + step] === frame));
    assert.ok(heard.length > 20 && first >= 0, `${heard.length} frames of sound are not those of the file`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

const hexOf = (data: Uint8Array): string => Buffer.from(data).toString("hex");
