// What leaves as parts must decode to the very pictures that came in. ffmpeg decodes both.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createFile, MP4BoxBuffer } from "mp4box";
import { promisify } from "node:util";
import { serializeAdtsHeader } from "../../media-node/codecs/aac.ts";
import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { parseAvcConfig } from "../../media-node/codecs/h264.ts";
import { parseHvcConfig } from "../../media-node/codecs/h265.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { loopedSample, makeClip, type Clip, type ClipOptions } from "../support/clip.ts";
import { cutClip, cutStartMs } from "../support/cut-clip.ts";
import { decodedHashes as hashes } from "../support/decoded-hashes.ts";
import { toOgg } from "../support/ogg.ts";
import { newStream } from "../support/synthetic-media.ts";

const run = promisify(execFile);

const kinds: Record<string, ClipOptions & { readonly format: string[] }> = {
  "H.264 with B-frames": { seconds: 6, gop: 45, videoArgs: ["-bf", "3"], format: ["-f", "h264"] },
  "H.265 with B-frames": { seconds: 6, gop: 45, video: "h265", videoArgs: ["-tag:v", "hvc1"], format: ["-f", "hevc"] },
  "H.264 beside Opus": { seconds: 4, audio: "opus", format: ["-f", "h264"] },
};

for (const [kind, { format, ...options }] of Object.entries(kinds)) {
  test(`every picture and sound of ${kind} comes out as it went in`, async () => {
    const clip = await makeClip(options);
    const output = cutClip(clip);
    const folder = await mkdtemp(join(tmpdir(), "hearth-decoded-"));
    try {
      const source = join(folder, "source");
      const made = join(folder, "made.mp4");
      for (const track of output.tracks) {
        const isVideo = track.type === "video";
        const files = [track.segments[0]!.initUri, ...track.segments.map(({ uri }) => uri)];
        await writeFile(made, Buffer.concat(files.flatMap((name) => [...track.file(name)!.pieces])));
        const firstTick = isVideo ? Number.NEGATIVE_INFINITY : firstAudioTick(output, clip);
        const own = clip.samples.filter(({ trackId, dts }) => trackId === track.trackId && dts >= firstTick);
        const kindOf = isVideo ? "v" : "a";
        const units = own.map(({ data }) => data);
        const isOpus = options.audio === "opus";
        await writeFile(source, isVideo ? Buffer.concat([parameterSets(clip), ...units]) : soundFile(units, isOpus));
        const expected = await hashes(source, isVideo ? format : ["-f", isOpus ? "ogg" : "aac"], kindOf);
        assert.equal(expected.length, own.length);
        assert.deepEqual(await hashes(made, [], kindOf), expected);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

test("pictures of another size come out as they went in, also where only the first init segment is read", async () => {
  const clips = await Promise.all(["320x180", "480x270"].map((size) => makeClip({ seconds: 2, size, audio: "none" })));
  const folder = await mkdtemp(join(tmpdir(), "hearth-decoded-"));
  try {
    const [source, made] = [join(folder, "source.h264"), join(folder, "made.mp4")];
    const after = (ticks: number) => (sample: Sample) => ({
      ...sample,
      pts: sample.pts + ticks,
      dts: sample.dts + ticks,
    });
    const tracks = clips.map(
      (clip, index) => cutClip({ ...clip, samples: clip.samples.map(after(index * 180_000)) }).tracks[0]!,
    );
    const files = tracks.flatMap((track) => track.segments.flatMap(({ uri }) => [...track.file(uri)!.pieces]));
    await writeFile(made, Buffer.concat([...tracks[0]!.file(tracks[0]!.segments[0]!.initUri)!.pieces, ...files]));
    await writeFile(
      source,
      Buffer.concat(clips.flatMap((clip) => [parameterSets(clip), ...clip.samples.map(({ data }) => data)])),
    );
    const expected = await hashes(source, ["-f", "h264"], "v");
    assert.equal(expected.length, clips[0]!.samples.length + clips[1]!.samples.length);
    assert.deepEqual(await hashes(made, [], "v"), expected);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("H.265 of another size comes out as it went in, each with the init segment that its segments name", async () => {
  const clips = await Promise.all(
    ["320x180", "480x270"].map((size) => makeClip({ seconds: 1, size, video: "h265", audio: "none" })),
  );
  const stream = newStream(clips[0]!.tracks, hearthEpochMs);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 20, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  for (const [index, clip] of clips.entries()) {
    if (index > 0) stream.describe({ ...stream.description, tracks: clip.tracks }, true);
    for (let at = 0; at < clip.samples.length; at++) stream.publish(loopedSample(clip, at, cutStartMs + index * 1_000));
  }
  stream.close({ code: "end" });
  const track = output.tracks[0]!;
  const inits = [...new Set(track.segments.map(({ initUri }) => initUri))];
  assert.equal(inits.length, clips.length);
  const folder = await mkdtemp(join(tmpdir(), "hearth-decoded-"));
  try {
    const [source, made] = [join(folder, "source.h265"), join(folder, "made.mp4")];
    for (const [index, clip] of clips.entries()) {
      const own = track.segments.filter(({ initUri }) => initUri === inits[index]);
      const files = [inits[index]!, ...own.map(({ uri }) => uri)];
      await writeFile(made, Buffer.concat(files.flatMap((name) => [...track.file(name)!.pieces])));
      await writeFile(source, Buffer.concat([parameterSets(clip), ...clip.samples.map(({ data }) => data)]));
      const expected = await hashes(source, ["-f", "hevc"], "v");
      assert.equal(expected.length, clip.samples.length);
      assert.deepEqual(await hashes(made, [], "v"), expected);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

for (const video of ["av1", "vp9"] as const) {
  test(`every picture of ${video} comes out as it went in, and mp4box and ffprobe know what it is`, async () => {
    const clip = await makeClip({ seconds: 3, gop: 30, video, audio: "none" });
    // Some senders begin each temporal unit with its delimiter, which MP4 has no use for.
    const delimiter = Uint8Array.of(0x12, 0);
    const delimited = clip.samples.map((sample) =>
      video === "av1" ? { ...sample, data: Buffer.concat([delimiter, sample.data]) } : sample,
    );
    const output = cutClip({ ...clip, samples: delimited });
    const [track] = output.tracks;
    assert.ok(track);
    const files = [track.segments[0]!.initUri, ...track.segments.map(({ uri }) => uri)];
    const bytes = Buffer.concat(files.flatMap((name) => [...track.file(name)!.pieces]));
    assert.equal(mp4boxCodec(bytes).toLowerCase(), track.codecs.toLowerCase());
    const folder = await mkdtemp(join(tmpdir(), "hearth-decoded-"));
    try {
      const [source, made] = [join(folder, "source.ivf"), join(folder, "made.mp4")];
      await writeFile(made, bytes);
      await writeFile(
        source,
        ivfOf(
          video === "av1" ? "AV01" : "VP90",
          delimited.map(({ data }) => data),
        ),
      );
      const expected = await hashes(source, [], "v");
      assert.equal(expected.length, clip.samples.length);
      assert.deepEqual(await hashes(made, [], "v"), expected);
      const probe = ["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", made];
      assert.equal((await run("ffprobe", probe)).stdout.trim(), `${video},320,180`);
      const { stdout } = await run("ffprobe", ["-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", made]);
      const keys = stdout.split("\n").flatMap((line, index) => (line.startsWith("K") ? [index] : []));
      assert.deepEqual(
        keys,
        clip.samples.flatMap(({ isKeyframe }, index) => (isKeyframe ? [index] : [])),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}

function mp4boxCodec(bytes: Uint8Array): string {
  const file = createFile();
  let codec = "";
  file.onReady = (movie) => void (codec = movie.tracks[0]?.codec ?? "");
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(bytes).buffer, 0));
  return codec;
}

/** The simplest file that players take these codecs from. */
function ivfOf(fourCc: string, frames: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(32);
  head.write(`DKIF\0\0 \0${fourCc}`, "latin1");
  head.writeUInt16LE(320, 12);
  head.writeUInt16LE(180, 14);
  head.writeUInt32LE(30, 16);
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap((frame, index) => {
    const frameHead = Buffer.alloc(12);
    frameHead.writeUInt32LE(frame.length, 0);
    frameHead.writeUInt32LE(index, 4);
    return [frameHead, frame];
  });
  return Buffer.concat([head, ...parts]);
}

/** As a byte stream begins with them. */
function parameterSets({ tracks: [track] }: Clip): Uint8Array {
  const config = track!.decoderConfig!;
  if (track!.codec === "h265") return joinAnnexB(parseHvcConfig(config).arrays.flatMap(({ nals }) => nals));
  const { sps, pps } = parseAvcConfig(config);
  return joinAnnexB([...sps, ...pps]);
}

/** The simplest file that players take this sound from. */
function soundFile(frames: readonly Uint8Array[], isOpus: boolean): Buffer {
  if (isOpus) return toOgg(frames, 2);
  const config = { objectType: 2, sampleRate: 48_000, channels: 2 };
  return Buffer.concat(frames.flatMap((data) => [serializeAdtsHeader(config, data.length), data]));
}

/** Sound before the first picture is not delivered. */
function firstAudioTick(output: StreamOutput, clip: Clip): number {
  const startMs = output.track(1)!.segments[0]!.startMs - cutStartMs;
  return (startMs * clip.tracks[1]!.timescale) / 1000 - 1;
}
