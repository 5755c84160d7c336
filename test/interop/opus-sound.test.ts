// AAC becomes Opus by a real ffmpeg: every click is heard when it was made.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile, chmod } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAdtsFrames, serializeAacConfig } from "../../media-node/codecs/aac.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Track } from "../../media-node/core/track.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { ffmpegEncoders, findProgram, type OpusSetting } from "../../media-node/transcoding/ffmpeg-encoder.ts";
import { OpusTrack, type OpusCounters } from "../../media-node/transcoding/opus-track.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { toOgg } from "../support/ogg.ts";
import { until } from "../support/until.ts";

const program = findProgram("ffmpeg", process.env["PATH"] ?? "");
let folder: string;
before(async () => {
  assert.ok(program, "this test needs ffmpeg: apt-get install ffmpeg");
  folder = await mkdtemp(join(tmpdir(), "hearth-opus-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const setting: OpusSetting = { channels: 2, decoderConfig: Uint8Array.of(0x11, 0x90), frameSeconds: 1_024 / 48_000 };

/** Seconds of source before the first click counts: decoders and encoders settle. */
const settleMs = 400;

interface Recording {
  readonly track: Track;
  readonly frames: readonly Uint8Array[];
  /** Where a decoder puts each click, in milliseconds from the first frame's time. */
  readonly clicksMs: readonly number[];
}

/** Four seconds with a click of 10 ms every half second. */
async function recordClicks(sampleRate: number, channels: number, ...encoder: string[]): Promise<Recording> {
  const file = join(folder, `${sampleRate}-${channels}-${encoder.length}.aac`);
  const signal = `aevalsrc='if(lt(mod(t,0.5),0.01),0.8*sin(2*PI*2000*t),0)':s=${sampleRate}:d=4`;
  const args = ["-f", "lavfi", "-i", signal, "-ac", String(channels), "-c:a", "aac", "-b:a", "128k", ...encoder, file];
  const { code, stderr } = await runProgram("ffmpeg", ["-v", "error", "-y", ...args]);
  assert.equal(code, 0, stderr);
  const adts = parseAdtsFrames(await readFile(file));
  const decoderConfig = serializeAacConfig(adts[0]!.config);
  const track: Track = {
    id: 7,
    kind: "audio",
    codec: "aac",
    name: "Audio",
    timescale: sampleRate,
    bitrate: 0,
    audio: { sampleRate, channels },
    decoderConfig,
  };
  return { track, frames: adts.map(({ data }) => data), clicksMs: await findClicks(file) };
}

/** Rising edges of a decoded file, in milliseconds. */
async function findClicks(file: string): Promise<number[]> {
  const raw = `${file}.f32`;
  const args = ["-v", "fatal", "-y", "-i", file, "-ac", "1", "-ar", "48000", "-f", "f32le", raw];
  const { code, stderr } = await runProgram("ffmpeg", args);
  assert.equal(code, 0, stderr);
  const bytes = readFileSync(raw);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const clicks: number[] = [];
  let lastAt = Number.NEGATIVE_INFINITY;
  for (const [at, value] of values.entries()) {
    if (Math.abs(value) > 0.25 && at - lastAt > 9_600) clicks.push(at / 48);
    if (Math.abs(value) > 0.25) lastAt = at;
  }
  return clicks;
}

const counters = (): OpusCounters => ({
  running: 0,
  started: 0,
  restarted: 0,
  refused: 0,
  droppedFrames: 0,
  packets: 0,
});

/** Pushes all frames; resolves with the packets when nearly all of the sound has come out. */
async function convert(recording: Recording, timeOf: (index: number) => number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const { track } = recording;
  const counts = counters();
  const converter = new OpusTrack(track, {
    openEncoder: ffmpegEncoders(program!),
    clock: systemClock,
    logger: silentLogger,
    counters: counts,
    onSample: (sample) => samples.push(sample),
  });
  for (const [index, data] of recording.frames.entries()) {
    const pts = timeOf(index);
    converter.push({ trackId: track.id, pts, dts: pts, duration: 1_024, isKeyframe: true, data });
  }
  const lastMs = (recording.frames.length * 1_024_000) / track.timescale;
  const expected = Math.floor((lastMs - 150) / 20);
  await until("the sound has come out", 20_000, () => samples.length >= expected);
  await converter.close();
  assert.equal(counts.running, 0);
  return samples;
}

/** Where each click is heard by whoever plays every packet at its time. */
async function heardMs(samples: readonly Sample[], channels: number, name: string): Promise<number[]> {
  const file = join(folder, `${name}.ogg`);
  await writeFile(
    file,
    toOgg(
      samples.map(({ data }) => data),
      channels,
    ),
  );
  return (await findClicks(file)).map((ms) => {
    const packet = Math.min(samples.length - 1, Math.floor(ms / 20));
    return samples[packet]!.pts / 48 + (ms - packet * 20);
  });
}

for (const [sampleRate, channels] of [
  [48_000, 2],
  [44_100, 2],
  [16_000, 1],
  [8_000, 1],
] as const) {
  test(`${sampleRate} Hz, ${channels} channels: every click is heard within 1 ms`, async (t) => {
    const recording = await recordClicks(sampleRate, channels);
    // As a live stream has it: years after its epoch, at a time that is no whole frame.
    const start = sampleRate * 3_600 * 24 * 700 + 12_345;
    const samples = await convert(recording, (index) => start + index * 1_024);
    assert.ok(Math.abs(samples[0]!.pts - ((start * 48_000) / sampleRate - 312)) <= 1);
    for (const [index, { dts }] of samples.slice(1).entries()) assert.equal(dts - samples[index]!.dts, 960);
    const startMs = (start / sampleRate) * 1_000;
    const heard = await heardMs(samples, channels, `plain-${sampleRate}`);
    const expected = recording.clicksMs.filter((ms) => ms > settleMs && ms < 3_700);
    const differences = expected.map((ms) => Math.min(...heard.map((other) => Math.abs(other - startMs - ms))));
    t.diagnostic(`differences ${differences.map((ms) => ms.toFixed(2)).join(" ")} ms`);
    assert.ok(expected.length >= 6 && differences.every((ms) => ms <= 1), differences.join(" "));
  });
}

test("frames that were lost before, and one that cannot be decoded, do not move the sound after them", async (t) => {
  const recording = await recordClicks(48_000, 2);
  const frames = recording.frames.map((data, index) => (index === 60 ? new Uint8Array(data.length).fill(0x5a) : data));
  const kept = frames.map((data, index) => ({ data, index })).filter(({ index }) => index < 100 || index > 109);
  const damaged = { ...recording, frames: kept.map(({ data }) => data) };
  const samples = await convert(damaged, (position) => kept[position]!.index * 1_024);
  const heard = await heardMs(samples, 2, "damaged");
  const gapMs = [59, 62, 100, 110].map((frame) => (frame * 1_024) / 48);
  const untouched = (ms: number): boolean =>
    ms > settleMs &&
    ms < 3_400 &&
    !(ms > gapMs[0]! - 30 && ms < gapMs[1]! + 30) &&
    !(ms > gapMs[2]! - 30 && ms < gapMs[3]! + 30);
  const differences = recording.clicksMs
    .filter(untouched)
    .map((ms) => Math.min(...heard.map((other) => Math.abs(other - ms))));
  t.diagnostic(`differences ${differences.map((ms) => ms.toFixed(2)).join(" ")} ms`);
  assert.ok(differences.length >= 4 && differences.every((ms) => ms <= 1), differences.join(" "));
});

test("an ffmpeg that fails is named with what it complains of, and nothing of our environment reaches it", async () => {
  const script = join(folder, "broken-ffmpeg");
  const seen = join(folder, "seen-environment");
  await writeFile(script, `#!/bin/sh\nexport -p > ${seen}\necho "Unknown encoder 'libopus'" >&2\nexit 1\n`);
  await chmod(script, 0o755);
  process.env["HEARTH_CANARY"] = "secret";
  const end = Promise.withResolvers<string>();
  ffmpegEncoders(script)(setting, { onPreSkip() {}, onPacket() {}, onEnd: end.resolve });
  assert.equal(await end.promise, "ffmpeg ended (1): Unknown encoder 'libopus'");
  delete process.env["HEARTH_CANARY"];
  assert.doesNotMatch(await readFile(seen, "utf8"), /canary|secret/i);
  assert.equal(findProgram("no-such-program", process.env["PATH"] ?? ""), undefined);
  assert.equal(findProgram(script, ""), script);
});

test("a child that writes what is no Ogg is ended", async () => {
  const end = Promise.withResolvers<string>();
  const script = join(folder, "noisy-ffmpeg");
  await writeFile(script, "#!/bin/sh\nyes noise\n");
  await chmod(script, 0o755);
  ffmpegEncoders(script)(setting, { onPreSkip() {}, onPacket() {}, onEnd: end.resolve });
  assert.match(await end.promise, /writes what is no Ogg/);
});

test("closing leaves no process behind, however early and however often", async () => {
  const open = ffmpegEncoders(program!);
  const before = childrenOf();
  for (let round = 0; round < 5; round++) {
    const encoder = open(setting, { onPreSkip() {}, onPacket() {}, onEnd() {} });
    await Promise.all([encoder.close(), encoder.close()]);
    assert.equal(encoder.push(Uint8Array.of(1)), false);
  }
  assert.deepEqual(childrenOf(), before);
});

function childrenOf(): string[] {
  const list = `/proc/${process.pid}/task/${process.pid}/children`;
  return existsSync(list) ? readFileSync(list, "utf8").trim().split(" ") : [];
}
