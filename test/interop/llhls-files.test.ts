// Every file that a playlist can name, by itself: mp4box and ffprobe take it, and what a source lost spoils nothing else.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createFile, MP4BoxBuffer, type Sample } from "mp4box";
import type { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import type { TrackOutput } from "../../media-node/llhls/track-output.ts";
import { makeClip, type Clip, type ClipOptions } from "../support/clip.ts";
import { cutClip, cutStartMs } from "../support/cut-clip.ts";
import { decodeFrames } from "../support/decoded-hashes.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { seededRandom } from "../support/seeded-random.ts";

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), "hearth-files-"))));
after(() => rm(folder, { recursive: true, force: true }));

const bytesOf = (track: TrackOutput, ...names: string[]): Buffer =>
  Buffer.concat(names.flatMap((name) => [...track.file(name)!.pieces]));

/** What mp4box finds in an init segment and what follows it. */
function readMp4(bytes: Buffer): { codec: string; timescale: number; samples: Sample[] } {
  const file = createFile();
  const samples: Sample[] = [];
  let found: { codec: string; timescale: number } | undefined;
  file.onError = (_module, message) => assert.fail(message);
  file.onReady = ({ tracks: [track] }) => {
    found = track;
    file.setExtractionOptions(track!.id, undefined, { nbSamples: 1 });
    file.start();
  };
  file.onSamples = (_id, _user, some) => samples.push(...some);
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(bytes).buffer, 0), true);
  file.flush();
  assert.ok(found, "mp4box found no movie");
  assert.equal(
    file.boxes.reduce((sum, { size }) => sum + size, 0),
    bytes.length,
    "boxes fill the file",
  );
  return { codec: found.codec, timescale: found.timescale, samples };
}

/**
 * Codec and packets by ffprobe, which must not complain.
 * @param isDecodable false where what the pictures refer to is in another file: then decoders may say so
 */
async function probe(name: string, bytes: Buffer, isDecodable = true): Promise<{ codec: string; packets: number }> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  const entries = ["-count_packets", "-show_entries", "stream=codec_name,nb_read_packets", "-of", "json"];
  const { code, stdout, stderr } = await runProgram("ffprobe", ["-v", "error", ...entries, path]);
  const complaints = stderr
    .split("\n")
    .filter((line) => isDecodable || !/^\[(?:h264|hevc|vp9|libdav1d|av1) @/.test(line));
  assert.deepEqual([code, complaints.join("\n")], [0, ""], name);
  const { streams } = JSON.parse(stdout) as { streams: { codec_name: string; nb_read_packets?: string }[] };
  assert.equal(streams.length, 1, name);
  return { codec: streams[0]!.codec_name, packets: Number(streams[0]!.nb_read_packets ?? 0) };
}

const probedAs = { h264: "h264", h265: "hevc", av1: "av1", vp9: "vp9", aac: "aac", opus: "opus" } as const;
const closed = ["-x265-params", "log-level=error:open-gop=0", "-tag:v", "hvc1"];
const kinds: Record<string, ClipOptions> = {
  "H.264 and AAC": { seconds: 3, videoArgs: ["-bf", "3"] },
  "H.265 and Opus": { seconds: 2, video: "h265", videoArgs: closed, audio: "opus" },
  AV1: { seconds: 2, video: "av1", audio: "none" },
  VP9: { seconds: 2, video: "vp9", audio: "none" },
};

/** Judges the file of one segment, or of one part of it. @returns its samples */
async function judge(track: TrackOutput, codec: string, name: string, durationMs: number): Promise<Sample[]> {
  const { initUri } = track.segments.at(-1)!;
  const bytes = bytesOf(track, initUri, name);
  const { timescale, samples } = readMp4(bytes);
  const ms = (samples.reduce((sum, { duration }) => sum + duration, 0) * 1_000) / timescale;
  assert.ok(Math.abs(ms - durationMs) < 0.01, `${name} lasts ${ms} ms, not ${durationMs}`);
  assert.deepEqual(await probe(name, bytes, samples[0]!.is_sync), { codec, packets: samples.length });
  return samples;
}

for (const [kind, options] of Object.entries(kinds)) {
  test(`mp4box and ffprobe take every init, part and segment of ${kind}`, { timeout: 60_000 }, async (t) => {
    const clip = await makeClip(options);
    const output = cutClip(clip, { segmentMs: 1_000 });
    let files = 0;
    for (const track of output.tracks) {
      const codec = probedAs[clip.tracks[track.trackId]!.codec as keyof typeof probedAs];
      const init = bytesOf(track, track.segments[0]!.initUri);
      assert.equal(readMp4(init).codec.toLowerCase(), track.codecs.toLowerCase());
      assert.deepEqual(await probe("init.mp4", init), { codec, packets: 0 });
      let count = 0;
      for (const segment of track.segments) {
        const whole = judge(track, codec, segment.uri, segment.durationMs);
        const parts = await Promise.all(
          segment.parts.map(({ uri, durationMs }) => judge(track, codec, uri, durationMs)),
        );
        const dataOf = (samples: readonly Sample[]) => samples.map(({ data, dts, cts }) => [dts, cts, data]);
        assert.deepEqual(dataOf(parts.flat()), dataOf(await whole), segment.uri);
        assert.deepEqual(
          parts.map(([first]) => first!.is_sync),
          segment.parts.map(({ isIndependent }) => isIndependent),
        );
        count += parts.flat().length;
        files += 1 + parts.length;
      }
      if (track.type === "video") assert.equal(count, clip.samples.filter(({ trackId }) => trackId === 0).length);
      assert.ok(track.segments.length >= 2);
    }
    t.diagnostic(`${files} files`);
  });
}

/** Ticks that a picture may wait for its turn. */
const reordered = 3 * 3_000;
const lossy: Record<string, ClipOptions> = {
  "H.264": { seconds: 9, videoArgs: ["-bf", "2"] },
  "H.265": { seconds: 9, video: "h265", videoArgs: closed },
};

/** The clip with frames missing, a key frame among them, and which of its groups of pictures are all there and listed. */
function lose(clip: Clip): { clip: Clip; isWhole: boolean[] } {
  const random = seededRandom(11);
  const isWhole: boolean[] = [];
  const samples = clip.samples.filter(({ trackId, isKeyframe }) => {
    const isKeyPicture = trackId === 0 && isKeyframe;
    if (isKeyPicture) isWhole.push(true);
    const isLost = (isKeyPicture && isWhole.length === 5) || (!isKeyPicture && random() < 0.01);
    if (isLost && trackId === 0) isWhole[isWhole.length - 1] = false;
    return !isLost;
  });
  // Its decoding times begin in the cell before: joined in its middle, and not listed for long.
  isWhole[0] = false;
  return { clip: { ...clip, samples }, isWhole };
}

const videoOf = (output: StreamOutput): TrackOutput => output.track(0)!;

async function framesOf(track: TrackOutput, name: string): Promise<Map<number, string>> {
  const path = join(folder, name);
  await writeFile(path, bytesOf(track, track.segments[0]!.initUri, ...track.segments.map(({ uri }) => uri)));
  return new Map((await decodeFrames(path, [], "v")).map(({ pts, hash }) => [pts, hash]));
}

for (const [kind, options] of Object.entries(lossy)) {
  test(`what a source of ${kind} lost spoils no picture after the next key frame`, { timeout: 60_000 }, async (t) => {
    const source = await makeClip(options);
    const { clip, isWhole } = lose(source);
    const lost = source.samples.length - clip.samples.length;
    t.diagnostic(`${lost} frames lost, groups whole: ${isWhole.map(Number).join("")}`);
    assert.ok(lost >= 5 && isWhole.filter(Boolean).length >= 2);
    const track = videoOf(cutClip(clip, { segmentMs: 1_000 }));
    const expected = await framesOf(videoOf(cutClip(source, { segmentMs: 1_000 })), "expected.mp4");
    const decoded = await framesOf(track, "lossy.mp4");
    const groupOf = (pts: number): number => Math.floor((pts / 90 - cutStartMs) / 1_000 + 0.001);
    // What waits to be shown when a loss follows is the decoder's to lose.
    const whole = [...expected].filter(([pts]) => isWhole[groupOf(pts)] && isWhole[groupOf(pts + reordered)] !== false);
    assert.ok(whole.length >= 27 * isWhole.filter(Boolean).length);
    assert.deepEqual(
      whole.filter(([pts, hash]) => decoded.get(pts) !== hash),
      [],
    );
    // By themselves, as after a seek: the decoder has nothing to complain of.
    for (const segment of track.segments.filter(({ startMs }) => isWhole[groupOf(startMs * 90)])) {
      const path = join(folder, segment.uri);
      await writeFile(path, bytesOf(track, segment.initUri, segment.uri));
      const frames = await decodeFrames(path, [], "v", true);
      assert.equal(frames.length, 30, segment.uri);
      for (const { pts, hash } of frames) assert.equal(hash, expected.get(pts), segment.uri);
    }
  });

  test(`edges that joined a source of ${kind} with losses at different moments agree`, async () => {
    const { clip } = lose(await makeClip(options));
    const [first, second] = [0, 0.3].map((share) =>
      cutClip(clip, { segmentMs: 1_000, from: Math.floor(clip.samples.length * share) }),
    ) as [StreamOutput, StreamOutput];
    for (const track of second.tracks) {
      const other = first.track(track.trackId)!;
      const [joined, ...segments] = track.segments;
      assert.equal(other.file(joined!.uri), undefined);
      assert.ok(segments.length >= 4);
      for (const { uri, initUri, parts } of segments)
        for (const name of [uri, initUri, ...parts.map((part) => part.uri)])
          assert.ok(other.file(name) && bytesOf(track, name).equals(bytesOf(other, name)), name);
    }
  });
}
