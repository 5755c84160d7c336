import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { splitAnnexB } from "../codecs/annex-b.ts";
import { nalTypeOf } from "../codecs/h264.ts";
import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import { NoSuchStream } from "../core/source.ts";
import { ProtocolError } from "../flow/errors.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { openLoopSource } from "./loop-source.ts";
import { parseMp4Clip } from "./mp4-clip.ts";

const clipPath = join(import.meta.dirname, "../../infra/laptop/loop.mp4");
const clipUrl = `file://${clipPath}`;
const signal = new AbortController().signal;
const readBytes = async (path: string): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await readFile(path));

async function play(clock: ManualClock, forMs: number): Promise<Sample[]> {
  const source = await openLoopSource({ clock, readFile: readBytes })(clipUrl, { signal });
  const samples: Sample[] = [];
  source.start({ onSample: (sample) => samples.push(sample), onDescription() {}, onEnd: () => assert.fail("ended") });
  for (let ms = 0; ms < forMs; ms += 10) clock.advance(10);
  await source.close({ code: "done" });
  assert.equal(clock.pendingTimers, 0);
  return samples;
}

test("the clip in the repository is what it should be: 16 s of each track, closed groups of one second", async () => {
  const clip = parseMp4Clip(await readBytes(clipPath));
  assert.deepEqual(
    clip.tracks.map(({ id, codec, timescale, video, audio }) => ({ id, codec, timescale, video, audio })),
    [
      { id: 0, codec: "h264", timescale: 90_000, video: { width: 1280, height: 720, framerate: 25 }, audio: undefined },
      { id: 1, codec: "aac", timescale: 48_000, video: undefined, audio: { sampleRate: 48_000, channels: 2 } },
      { id: 2, codec: "opus", timescale: 48_000, video: undefined, audio: { sampleRate: 48_000, channels: 2 } },
    ],
  );
  assert.equal(clip.durationMs, 16_000);
  const video = clip.samples.filter(({ trackId }) => trackId === 0);
  assert.equal(video.length, 400);
  video.forEach(({ pts, dts, isKeyframe }, frame) => {
    assert.equal(dts, frame * 3_600);
    assert.equal(pts, dts);
    assert.equal(isKeyframe, frame % 25 === 0);
  });
  assert.deepEqual(
    splitAnnexB(video[0]!.data)
      .slice(0, 2)
      .map((nal) => nalTypeOf(nal[0]!)),
    [7, 8],
  );
});

test("timestamps never jump back and are evenly spaced over the loop", async () => {
  const startMs = hearthEpochMs + 16_000 * 1_000 + 14_000;
  const samples = await play(new ManualClock(startMs), 20_000);
  const step: Record<number, number> = { 0: 3_600, 1: 1_024, 2: 960 };
  for (const trackId of [0, 1, 2]) {
    const times = samples.filter((sample) => sample.trackId === trackId).map(({ dts }) => dts);
    assert.ok(times.length > 400, `track ${trackId} delivered ${times.length}`);
    times.slice(1).forEach((dts, index) => assert.equal(dts - times[index]!, step[trackId]));
  }
});

test("delivers at wall-clock pace, counted from the common epoch", async () => {
  const startMs = hearthEpochMs + 1_000_000_000;
  const samples = await play(new ManualClock(startMs), 3_000);
  const latestMs = Math.max(...samples.filter(({ trackId }) => trackId === 0).map(({ dts }) => dts / 90));
  assert.ok(Math.abs(latestMs - (1_000_000_000 + 3_000)) <= 48, `latest video at ${latestMs}`);
});

test("begins with a key frame and some seconds that were due before, so that a reader need not wait", async () => {
  const samples = await play(new ManualClock(hearthEpochMs + 500_500), 0);
  const video = samples.filter(({ trackId }) => trackId === 0);
  assert.equal(video[0]?.isKeyframe, true);
  assert.ok(video.length >= 100 && video.length <= 130, `${video.length} frames`);
});

test("two nodes, or one before and after a restart, give the same samples the same times", async () => {
  const first = await play(new ManualClock(hearthEpochMs + 700_000), 4_000);
  const second = await play(new ManualClock(hearthEpochMs + 702_000), 2_000);
  const bytesAt = (samples: Sample[]) => new Map(samples.map((s) => [`${s.trackId}@${s.dts}`, Buffer.from(s.data)]));
  const known = bytesAt(first);
  const common = [...bytesAt(second)].filter(([key]) => known.has(key));
  assert.ok(common.length > 400, `${common.length} in common`);
  for (const [key, data] of common) assert.ok(known.get(key)!.equals(data), key);
});

test("after the machine slept an hour it goes on with the picture due now, without an hour's burst", async () => {
  let sleptMs = 0;
  class LaptopClock extends ManualClock {
    override wallMs(): number {
      return super.wallMs() + sleptMs;
    }
  }
  const clock = new LaptopClock(hearthEpochMs + 900_000);
  const source = await openLoopSource({ clock, readFile: readBytes })(clipUrl, { signal });
  const video: Sample[] = [];
  source.start({
    onSample: (sample) => void (sample.trackId === 0 && video.push(sample)),
    onDescription() {},
    onEnd: () => assert.fail("ended"),
  });
  const before = video.length;
  sleptMs = 3_600_000;
  clock.advance(50);
  assert.ok(video.length - before < 60, `${video.length - before} pictures in one turn`);
  assert.ok(video.at(-1)!.dts / 90 > 900_000 + 3_600_000 - 100);
  const ordered = video.map(({ dts }) => dts);
  assert.deepEqual(
    ordered,
    ordered.toSorted((a, b) => a - b),
  );
  await source.close({ code: "done" });
});

test("a missing file is no such stream; a file that is no MP4, or cut short, is a protocol error", async () => {
  const open = openLoopSource({ clock: new ManualClock(), readFile: readBytes });
  await assert.rejects(open("file:///nowhere/clip.mp4", { signal }), NoSuchStream);
  assert.throws(() => parseMp4Clip(new Uint8Array(1_000)), ProtocolError);
  const whole = await readBytes(clipPath);
  for (const length of [0, 7, 8, 40, 500, 5_000, 20_000, 100_000, whole.length - 1]) {
    assert.throws(() => parseMp4Clip(whole.slice(0, length)), ProtocolError, `cut at ${length}`);
  }
});
