// How much of a core does an edge spend on reading? CPU time to make samples of a 2.5 Mbit/s stream's packets, arriving in
// 64 kB reads, beside joining every read to the rest and copying every sample out. Wanted: at least 2 Gbit/s a core, and no
// copy of a sample that lies in one packet inside one read.
import assert from "node:assert/strict";
import type { Sample } from "../../media-node/core/sample.ts";
import { parseOvtMedia } from "../../media-node/ovt/ovt-media.ts";
import { OvtReader } from "../../media-node/ovt/ovt-reader.ts";
import { SampleDecoder } from "../../media-node/ovt/sample-decoder.ts";
import { SampleEncoder } from "../../media-node/ovt/sample-encoder.ts";
import { decodeTrace } from "../support/ovt-fixtures.ts";
import { audioSample, avDescription, videoSample } from "../support/ovt-kit.ts";

const frames = 3_000;
const readLength = 65_536;
const rounds = 12;

/** The stream's bytes in reads, each in memory of its own as a socket delivers them. */
function reads(): Buffer[] {
  const encoder = new SampleEncoder();
  encoder.describe(avDescription.tracks);
  const samples: Sample[] = [];
  for (let i = 0; i < frames; i++) samples.push(videoSample(i, i % 30 === 0 ? 40_000 : 9_000), audioSample(i));
  const bytes = Buffer.concat(samples.map((sample) => encoder.encode(sample)!.bytes));
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += readLength) out.push(Buffer.from(bytes.subarray(at, at + readLength)));
  return out;
}

function decoder(onSample: (sample: Sample) => void): SampleDecoder {
  return new SampleDecoder(avDescription.tracks, "g3", new Map(), { onSample, onTrack() {} });
}

function parse(chunks: readonly Buffer[]): { samples: number; copies: number } {
  const buffers = new Set<ArrayBufferLike>(chunks.map(({ buffer }) => buffer));
  let samples = 0;
  let copies = 0;
  const decode = decoder(({ data }) => {
    samples++;
    if (!buffers.has(data.buffer)) copies++;
  });
  const limits = { role: "edge", maxMessageBytes: 1 << 20, maxMediaBytes: 1 << 24 } as const;
  const reader = new OvtReader(limits, { onMessage() {}, onMedia: (body) => decode.push(parseOvtMedia(body)) });
  for (const chunk of chunks) reader.push(chunk);
  return { samples, copies };
}

function parsePlainly(chunks: readonly Buffer[]): { samples: number } {
  let samples = 0;
  const decode = decoder(() => samples++);
  let rest: Buffer = Buffer.alloc(0);
  for (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    const { media } = decodeTrace(rest);
    const end = media.at(-1)?.packets.at(-1)?.end ?? 0;
    for (const { trackId, pts, dts, duration, mediaType, flag, bitstreamFormat, packetType, data } of media) {
      const times = { pts: Number(pts), dts: Number(dts), duration: Number(duration) };
      decode.push({ trackId, ...times, mediaType, flag, bitstreamFormat, packetType, data: Buffer.from(data) });
    }
    rest = rest.subarray(end);
  }
  return { samples };
}

function cpuSecondsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const chunks = reads();
const bits = chunks.reduce((sum, { length }) => sum + length, 0) * 8;
const expected = frames * 2;
const best = { parse: Infinity, plain: Infinity };
for (let round = 0; round < rounds; round++) {
  best.parse = Math.min(
    best.parse,
    cpuSecondsOf(() => {
      const { samples, copies } = parse(chunks);
      assert.equal(samples, expected);
      // What lies across two reads, or in several packets, has to be joined: nothing else.
      assert.ok(copies <= chunks.length + frames / 30, `${copies} samples were copied`);
    }),
  );
  best.plain = Math.min(
    best.plain,
    cpuSecondsOf(() => assert.equal(parsePlainly(chunks).samples, expected)),
  );
}
const gigabits = bits / 1e9 / best.parse;
console.log(
  `ovt-parse: ${gigabits.toFixed(1)} Gbit/s a core (wanted: 2), ${(best.plain / best.parse).toFixed(1)} times a plain reader`,
);
