// How many streams can one core cut into parts and segments, and what does it cost to write a part? CPU time for 2.5 Mbit/s of
// video and 128 kbit/s of audio, parts of 0.2 s. Writing is all that happens between samples in hand and a part that can be
// served: which segment they belong to, start codes looked for and replaced, boxes, names, lists of what is kept, and what
// was left behind collected. Not counted is what nobody can do without, measured in the same run with the same samples: one
// buffer a part and one copy of its bytes. Wanted: 100 streams on a tenth of a core, which is 1 ms per second of stream, and
// 10 µs a part besides copying. The best of several rounds, of either; on a machine that does other work, too, that is still
// up to a half more, so it fails at 15 µs.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { silentLogger } from "../../media-node/flow/logger.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { audioTrack, newStream, syntheticSamples, videoTrack } from "../support/synthetic-media.ts";

const seconds = 60;
const partsPerSecond = 5;
const rounds = 12;

/** Key frames of 62 kB, others of 8 kB, audio frames of 340 bytes: random, so that no start code emulation hides. */
function samples(): Sample[] {
  const payload = new Uint8Array(62_000).map((_, index) => 1 + ((index * 7_919) % 255));
  return syntheticSamples({
    durationMs: seconds * 1000,
    frameMs: () => 1000 / 30,
    isKeyframe: (i) => i % 60 === 0,
  }).map((sample) => {
    const size = sample.trackId === 1 ? 340 : sample.isKeyframe ? 62_000 : 8_300;
    const data = payload.slice(0, size);
    if (sample.trackId === 0) data.set([0, 0, 0, 1, sample.isKeyframe ? 0x65 : 0x41]);
    return { ...sample, data };
  });
}

function cpuMsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const source = samples();
const bytes = source.reduce((sum, { data }) => sum + data.length, 0);

function segment(): void {
  const stream = newStream([videoTrack, audioTrack]);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
  let progress = 0;
  const output = new StreamOutput(stream, { ...options, onProgress: () => progress++ });
  output.start();
  for (const sample of source) stream.publish(sample);
  assert.equal(output.track(0)!.lastCompleteMsn, seconds / 2 - 2);
  assert.ok(output.track(0)!.segments.every(({ isComplete, parts }) => !isComplete || parts.length === 10));
  assert.ok(progress > seconds * 10);
}

/** The same bytes into one buffer a part, as a program would that has nothing to say about them. */
function copy(): void {
  let kept = 0;
  for (const track of [0, 1]) {
    const ofTrack = source.filter(({ trackId }) => trackId === track);
    const perPart = ofTrack.length / (seconds * partsPerSecond);
    for (let part = 0; part < seconds * partsPerSecond; part++) {
      const samples = ofTrack.slice(Math.round(part * perPart), Math.round((part + 1) * perPart));
      const into = Buffer.allocUnsafeSlow(samples.reduce((sum, { data }) => sum + data.length, 0));
      let at = 0;
      for (const { data } of samples) {
        into.set(data, at);
        at += data.length;
      }
      kept += at;
    }
  }
  assert.equal(kept, bytes);
}

const best = { segment: Infinity, copy: Infinity };
for (let round = 0; round < rounds; round++) {
  best.copy = Math.min(best.copy, cpuMsOf(copy));
  best.segment = Math.min(best.segment, cpuMsOf(segment));
}
const perStream = best.segment / seconds;
const parts = 2 * seconds * partsPerSecond;
const [perPart, copying] = [(best.segment * 1000) / parts, (best.copy * 1000) / parts];
console.log(
  `llhls-segmenting: ${(perPart - copying).toFixed(1)} µs of CPU per part besides ${copying.toFixed(1)} µs of copying (wanted: 10); ` +
    `100 streams of ${((bytes * 8) / seconds / 1e6).toFixed(1)} Mbit/s on ${(10 * perStream).toFixed(1)} % of a core ` +
    `(wanted: 10), load average ${loadavg()[0]!.toFixed(1)}`,
);
assert.ok(perStream <= 1, "a hundred streams take more than a tenth of a core");
assert.ok(perPart - copying <= 15, "a part takes more than 15 µs besides copying");
