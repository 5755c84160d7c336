// What leaves as MPEG-TS must decode to the very pictures and sounds that came in: every segment alone, and all in one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { serializeAdtsHeader } from "../../media-node/codecs/aac.ts";
import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { parseAvcConfig } from "../../media-node/codecs/h264.ts";
import { parseHvcConfig } from "../../media-node/codecs/h265.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { SlicedWork } from "../../media-node/llhls/sliced-work.ts";
import { TsVariants, type TsSegment } from "../../media-node/llhls/ts-variant.ts";
import { loopedSample, makeClip, type Clip, type ClipOptions } from "../support/clip.ts";
import { newStream } from "../support/synthetic-media.ts";

const run = promisify(execFile);
const startMs = 60_000_000_000;

/** Hashes of every decoded frame, in the order shown. What ffmpeg complains of fails. */
async function hashes(file: string, format: string[], kind: "v" | "a"): Promise<string[]> {
  const input = [...format, "-i", file, "-map", `0:${kind}`, "-fps_mode", "passthrough"];
  const { stdout, stderr } = await run("ffmpeg", ["-v", "warning", ...input, "-f", "framemd5", "-"]);
  assert.doesNotMatch(stderr, /corrupt|error|invalid|continuity/i);
  return stdout
    .split("\n")
    .flatMap((line) => (line.startsWith("#") || line === "" ? [] : [line.split(",").at(-1)!.trim()]));
}

/** What an edge has of the clip that began to read at sample `from`. */
function cut(clip: Clip, from = 0): { output: StreamOutput; segments: readonly TsSegment[] } {
  const stream = newStream(clip.tracks, hearthEpochMs);
  const options = { segmentMs: 2_000, partMs: 2_000, segmentCount: 20, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, packaging: "mpegts", onProgress: () => {} });
  output.start();
  for (let index = from; index < clip.samples.length; index++) stream.publish(loopedSample(clip, index, startMs));
  stream.close({ code: "end" });
  const { segments } = new TsVariants({ cacheControl: "", work: new SlicedWork(setImmediate) }).of(
    output,
    output.track(0),
    output.track(1),
  );
  return { output, segments };
}

const bytesOf = async (segment: TsSegment): Promise<Buffer> => Buffer.concat((await segment.file()).pieces);

const closed = ["-x265-params", "log-level=error:open-gop=0", "-tag:v", "hvc1"];
const kinds: Record<string, ClipOptions & { readonly format: string[] }> = {
  "H.264 with B-frames": { seconds: 7, gop: 45, videoArgs: ["-bf", "3"], format: ["-f", "h264"] },
  "H.265 with B-frames": { seconds: 7, gop: 45, video: "h265", videoArgs: closed, format: ["-f", "hevc"] },
};

for (const [kind, { format, ...options }] of Object.entries(kinds)) {
  test(`every picture and sound of ${kind} comes out of MPEG-TS as it went in`, async () => {
    const clip = await makeClip(options);
    const { output, segments } = cut(clip);
    const folder = await mkdtemp(join(tmpdir(), "hearth-ts-"));
    const path = (name: string): string => join(folder, name);
    try {
      await writeFile(path("all.ts"), Buffer.concat(await Promise.all(segments.map(bytesOf))));
      const pictures = clip.samples.filter(({ trackId }) => trackId === 0);
      await writeFile(path("video"), Buffer.concat([parameterSets(clip), ...pictures.map(({ data }) => data)]));
      const expected = await hashes(path("video"), format, "v");
      assert.equal(expected.length, pictures.length);
      assert.deepEqual(await hashes(path("all.ts"), [], "v"), expected);

      const sounds = clip.samples.filter(({ trackId, dts }) => trackId === 1 && dts >= firstAudioTick(output, clip));
      const config = { objectType: 2, sampleRate: 48_000, channels: 2 };
      const adts = sounds.flatMap(({ data }) => [serializeAdtsHeader(config, data.length), data]);
      await writeFile(path("audio"), Buffer.concat(adts));
      assert.deepEqual(await hashes(path("all.ts"), [], "a"), await hashes(path("audio"), ["-f", "aac"], "a"));

      const alone: string[] = [];
      for (const segment of segments) {
        await writeFile(path("one.ts"), await bytesOf(segment));
        alone.push(...(await hashes(path("one.ts"), [], "v")));
        const { stdout } = await run("ffprobe", [
          "-v",
          "error",
          "-show_entries",
          "stream=codec_name,start_time",
          "-of",
          "csv=p=0",
          path("one.ts"),
        ]);
        assert.match(stdout, options.video === "h265" ? /^hevc,.*\naac,/ : /^h264,.*\naac,/);
      }
      assert.ok(segments.length >= 4);
      assert.deepEqual(alone, expected);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

test("two edges that joined at different moments write the same bytes under the same names", async () => {
  const clip = await makeClip({ seconds: 10, gop: 45, size: "160x90" });
  const first = cut(clip).segments;
  const second = cut(clip, Math.floor(clip.samples.length * 0.3)).segments;
  const namesOfFirst = new Map(first.map((segment) => [segment.uri, segment]));
  const [joined, ...whole] = second;
  assert.ok(whole.length >= 2);
  assert.equal(namesOfFirst.has(joined!.uri), false);
  for (const segment of whole) {
    const other = namesOfFirst.get(segment.uri);
    assert.ok(other, segment.uri);
    assert.ok((await bytesOf(segment)).equals(await bytesOf(other)), segment.uri);
    assert.deepEqual([segment.startMs, segment.durationMs], [other.startMs, other.durationMs]);
  }
});

/** As a byte stream begins with them. */
function parameterSets({ tracks: [track] }: Clip): Uint8Array {
  const config = track!.decoderConfig!;
  if (track!.codec === "h265") return joinAnnexB(parseHvcConfig(config).arrays.flatMap(({ nals }) => nals));
  const { sps, pps } = parseAvcConfig(config);
  return joinAnnexB([...sps, ...pps]);
}

/** Sound before the first picture is not delivered. */
function firstAudioTick(output: StreamOutput, clip: Clip): number {
  const first = output.track(1)!.segments[0]!.startMs - startMs;
  return (first * clip.tracks[1]!.timescale) / 1000 - 1;
}
