import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import type { Sample } from "../core/sample.ts";
import { clockTime, modulo } from "./pes.ts";
import { serializeTsSegment, type TsTrackSamples } from "./ts-segment.ts";
import type { TsSample, TsTrack } from "./ts-track.ts";

const video: TsTrack = { codec: "h264", timescale: 90_000, decoderConfig: videoTrack.decoderConfig!, sampleRate: 0 };
const aac: TsTrack = { codec: "aac", timescale: 48_000, decoderConfig: audioTrack.decoderConfig!, sampleRate: 48_000 };

const samplesOf = (samples: readonly Sample[], trackId: number): TsSample[] =>
  samples
    .filter((sample) => sample.trackId === trackId)
    .map(({ data, pts, dts, duration, isKeyframe }) => ({ data, pts, dts, duration, isSync: isKeyframe }));

function twoTracks(startMs: number, durationMs = 2_000): TsTrackSamples[] {
  const samples = syntheticSamples({ startMs, durationMs, reorder: (index) => 3_600 * (index % 3) });
  return [
    { track: video, samples: samplesOf(samples, 0) },
    { track: aac, samples: samplesOf(samples, 1) },
  ];
}

/** What a demultiplexer sees, written from ISO 13818-1 and knowing nothing of the writer. */
interface Seen {
  readonly pid: number;
  readonly counter: number;
  readonly isStart: boolean;
  readonly isRandomAccess: boolean;
  readonly pcr: bigint | undefined;
  readonly payload: Buffer;
}

function packetsIn(bytes: Uint8Array): Seen[] {
  assert.equal(bytes.length % 188, 0);
  const all = Buffer.from(bytes);
  return Array.from({ length: bytes.length / 188 }, (_, index): Seen => {
    const packet = all.subarray(index * 188, index * 188 + 188);
    assert.equal(packet[0], 0x47);
    const header = packet.readUInt32BE(0);
    assert.equal(header & 0x8000_00c0, 0, "neither a transport error nor scrambling");
    assert.ok(header & 0x10, "every packet has a payload");
    const hasField = (header & 0x20) !== 0;
    const fieldSize = hasField ? 1 + packet[4]! : 0;
    assert.ok(fieldSize < 184, "some payload");
    const flags = fieldSize > 1 ? packet[5]! : 0;
    const pcr = flags & 0x10 ? packet.readBigUInt64BE(4) & 0xffff_ffff_ffffn : undefined;
    return {
      pid: (header >> 8) & 0x1fff,
      counter: header & 15,
      isStart: (header & 0x40_0000) !== 0,
      isRandomAccess: (flags & 0x40) !== 0,
      pcr: pcr === undefined ? undefined : pcr >> 15n,
      payload: packet.subarray(4 + fieldSize),
    };
  });
}

function assertContinuous(packets: readonly Seen[]): void {
  const next = new Map<number, number>();
  for (const { pid, counter } of packets) {
    assert.equal(counter, next.get(pid) ?? 0, `counter of PID ${pid}`);
    next.set(pid, (counter + 1) % 16);
  }
  for (const [pid, counter] of next) assert.equal(counter, 0, `PID ${pid} ends a round`);
}

/** The remainder over a whole section with its CRC is 0. */
function crcRemainder(section: Uint8Array): bigint {
  let rest = 0xffff_ffffn;
  for (const byte of section) {
    for (let bit = 7; bit >= 0; bit--) {
      const top = (rest >> 31n) ^ BigInt((byte >> bit) & 1);
      rest = ((rest << 1n) & 0xffff_ffffn) ^ (top ? 0x04c1_1db7n : 0n);
    }
  }
  return rest;
}

function sectionIn({ payload }: Seen): Buffer {
  const start = 1 + payload[0]!;
  return payload.subarray(start, start + 3 + (payload.readUInt16BE(start + 1) & 0xfff));
}

interface Pes {
  readonly pid: number;
  readonly pts: bigint;
  readonly dts: bigint;
  readonly statedLength: number;
  readonly data: Buffer;
}

function pesIn(packets: readonly Seen[], pid: number): Pes[] {
  const own = packets.filter((packet) => packet.pid === pid);
  const starts = own.flatMap(({ isStart }, index) => (isStart ? [index] : []));
  return starts.map((from, index): Pes => {
    const bytes = Buffer.concat(own.slice(from, starts[index + 1]).map(({ payload }) => payload));
    assert.equal(bytes.readUIntBE(0, 3), 1);
    const time = (at: number): bigint => {
      const raw = BigInt(bytes.readUIntBE(at, 5));
      assert.deepEqual([raw & 1n, (raw >> 16n) & 1n, (raw >> 32n) & 1n], [1n, 1n, 1n], "marker bits");
      return (((raw >> 33n) & 7n) << 30n) | (((raw >> 17n) & 0x7fffn) << 15n) | ((raw >> 1n) & 0x7fffn);
    };
    const pts = time(9);
    const dts = bytes[7]! >> 6 === 3 ? time(14) : pts;
    return { pid, pts, dts, statedLength: bytes.readUInt16BE(4), data: bytes.subarray(9 + bytes[8]!) };
  });
}

test("a segment has sound tables, counters from 0 to 15, and a clock before every picture", () => {
  const packets = packetsIn(serializeTsSegment(twoTracks(0)));
  assertContinuous(packets);
  assert.deepEqual([packets[0]!.pid, packets[1]!.pid], [0, 0x1000]);
  const tables = packets.filter(({ pid }) => pid === 0 || pid === 0x1000);
  assert.equal(tables.length, 32);
  for (const table of tables) assert.equal(crcRemainder(sectionIn(table)), 0n);
  const pat = sectionIn(packets[0]!);
  assert.deepEqual([pat[0], pat.readUInt16BE(8), pat.readUInt16BE(10) & 0x1fff], [0, 1, 0x1000]);
  const pmt = sectionIn(packets[1]!);
  assert.deepEqual([pmt[0], pmt.readUInt16BE(8) & 0x1fff, pmt[12], pmt[17]], [2, 0x100, 0x1b, 0x0f]);
  const clocked = packets.filter(({ pcr }) => pcr !== undefined);
  assert.equal(clocked.length, 50);
  const pictures = pesIn(packets, 0x100);
  assert.equal(pictures.length, 50);
  for (const [index, { pcr, pid, isStart }] of clocked.entries()) {
    assert.ok(isStart && pid === 0x100);
    assert.equal(BigInt.asUintN(33, pictures[index]!.dts - pcr!), 63_000n);
  }
  const keys = packets.filter(({ pid, isRandomAccess }) => pid === 0x100 && isRandomAccess);
  assert.equal(keys.length, 2);
});

test("pictures come out with a delimiter, and key frames with their parameter sets", () => {
  const [track] = twoTracks(0);
  const pictures = pesIn(packetsIn(serializeTsSegment([track!])), 0x100);
  for (const [index, { data, pts, dts, statedLength }] of pictures.entries()) {
    const sample = track!.samples[index]!;
    assert.deepEqual([pts, dts, statedLength], [BigInt(sample.pts), BigInt(sample.dts), 0]);
    const nals = data.toString("latin1").split("\0\0\0\u0001").slice(1);
    const types = nals.map((nal) => nal.charCodeAt(0) & 31);
    assert.deepEqual(types, sample.isSync ? [9, 7, 8, 5] : [9, 1]);
    assert.ok(data.subarray(-sample.data.length).equals(Buffer.from(sample.data)));
  }
});

test("frames of sound share PES packets, and begin another where one is missing", () => {
  const [, sound] = twoTracks(0);
  const whole = sound!.samples.slice(0, 6);
  const holed = [...whole.slice(0, 3), ...whole.slice(4)];
  const times = (samples: readonly TsSample[]): bigint[] =>
    pesIn(packetsIn(serializeTsSegment([{ track: aac, samples }])), 0x100).map(({ pts }) => pts);
  assert.deepEqual(times(whole), [0n]);
  assert.deepEqual(times(holed), [0n, 7_680n]);
  const [pes] = pesIn(packetsIn(serializeTsSegment([{ track: aac, samples: whole }])), 0x100);
  assert.equal(pes!.statedLength, pes!.data.length + 8);
  const frames = whole.map(({ data }, index) => {
    const at = whole.slice(0, index).reduce((sum, before) => sum + before.data.length + 7, 0);
    const length = ((pes!.data[at + 3]! & 3) << 11) | (pes!.data[at + 4]! << 3) | (pes!.data[at + 5]! >> 5);
    assert.deepEqual([pes!.data.readUInt16BE(at), length], [0xfff1, data.length + 7]);
    return pes!.data.subarray(at + 7, at + length);
  });
  assert.ok(frames.every((frame, index) => frame.equals(Buffer.from(whole[index]!.data))));
});

test("segments one after another join without a gap in any counter", () => {
  const packets = [0, 2_000, 4_000].flatMap((startMs) => packetsIn(serializeTsSegment(twoTracks(startMs))));
  assertContinuous(packets);
});

test("times since 1970 are taken modulo 2^33, over the wrap, too", () => {
  const ticks = 1_700_000_000 * 90_000;
  assert.equal(BigInt(clockTime(ticks, 90_000)), BigInt(ticks) % 2n ** 33n);
  assert.equal(
    BigInt(clockTime(1_700_000_000 * 48_000 + 1_024, 48_000)),
    (1_700_000_000n * 90_000n + 1_920n) % 2n ** 33n,
  );
  assert.equal(modulo(-1), 2 ** 33 - 1);
  const wrapMs = Math.floor(2 ** 33 / 90) - 1_000;
  const packets = packetsIn(serializeTsSegment(twoTracks(wrapMs)));
  const times = pesIn(packets, 0x100).map(({ dts }) => dts);
  assert.ok(times[0]! > 2n ** 32n && times.at(-1)! < 2n ** 20n);
  for (const [index, time] of times.slice(1).entries()) assert.equal(BigInt.asUintN(33, time - times[index]!), 3_600n);
});

test("what is in the stream is told by its type: H.265, MP3 of either kind, sound alone with the clock", () => {
  const mp3 = (sampleRate: number): TsTrack => ({
    codec: "mp3",
    timescale: 90_000,
    decoderConfig: new Uint8Array(),
    sampleRate,
  });
  const frame = { data: new Uint8Array(400).fill(0xff), pts: 0, dts: 0, duration: 2_351, isSync: true };
  const typeOf = (track: TsTrack): number =>
    sectionIn(packetsIn(serializeTsSegment([{ track, samples: [frame] }]))[1]!)[12]!;
  assert.deepEqual([mp3(44_100), mp3(22_050), aac].map(typeOf), [3, 4, 0x0f]);
  const packets = packetsIn(serializeTsSegment([{ track: mp3(44_100), samples: [frame] }]));
  assertContinuous(packets);
  assert.notEqual(packets.find(({ pid }) => pid === 0x100)!.pcr, undefined);
  assert.ok(pesIn(packets, 0x100)[0]!.data.equals(Buffer.from(frame.data)));
});

test("a track without samples is announced, and the other one has the clock", () => {
  const [picture, sound] = twoTracks(0);
  const packets = packetsIn(serializeTsSegment([{ ...picture!, samples: [] }, sound!]));
  assertContinuous(packets);
  const pmt = sectionIn(packets[1]!);
  assert.deepEqual([pmt.readUInt16BE(8) & 0x1fff, pmt[12], pmt[17]], [0x101, 0x1b, 0x0f]);
  assert.equal(packets.filter(({ pid }) => pid === 0x100).length, 0);
});
