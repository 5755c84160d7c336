import assert from "node:assert/strict";
import { test } from "node:test";
import { createFile, MP4BoxBuffer, type Movie, type Sample } from "mp4box";
import { joinAnnexB } from "../codecs/annex-b.ts";
import { codecString } from "./codec-string.ts";
import type { CmafTrack } from "./cmaf-track.ts";
import { serializeFragment, type FragmentSample } from "./fragment.ts";
import { serializeInitSegment } from "./init-segment.ts";

const avcC = Buffer.from("0142c014ffe100176742c014da05067e7c0440000003004000000f03c50aa801000468ce3c80", "hex");
const hvcC = Buffer.concat([Buffer.from("01016000000090000000000078f000fcfdf8f800000f00", "hex")]);
const base = { timescale: 90_000, width: 0, height: 0, sampleRate: 0, channels: 0 };
const h264: CmafTrack = { ...base, kind: "video", codec: "h264", decoderConfig: avcC, width: 320, height: 180 };
const h265: CmafTrack = { ...base, kind: "video", codec: "h265", decoderConfig: hvcC, width: 1920, height: 1080 };
const aac: CmafTrack = {
  ...base,
  kind: "audio",
  codec: "aac",
  timescale: 48_000,
  decoderConfig: Uint8Array.of(0x11, 0x90),
  sampleRate: 48_000,
  channels: 2,
};
const opus: CmafTrack = { ...aac, codec: "opus", decoderConfig: new Uint8Array() };

/** What mp4box reads from an init segment and fragments. */
function read(pieces: readonly Uint8Array[]): { movie: Movie; samples: Sample[] } {
  const file = createFile();
  let movie: Movie | undefined;
  const samples: Sample[] = [];
  file.onReady = (ready) => {
    movie = ready;
    file.setExtractionOptions(1, undefined, { nbSamples: 1 });
    file.start();
  };
  file.onSamples = (_id, _user, found) => samples.push(...found);
  file.onError = (_module, message) => assert.fail(message);
  let offset = 0;
  for (const piece of pieces) {
    const buffer = MP4BoxBuffer.fromArrayBuffer(Uint8Array.from(piece).buffer, offset);
    file.appendBuffer(buffer);
    offset += piece.length;
  }
  file.flush();
  assert.ok(movie, "mp4box found no movie");
  return { movie, samples };
}

test("an init segment names its codec, timescale and form", () => {
  for (const [track, codec] of [
    [h264, "avc1.42c014"],
    [aac, "mp4a.40.2"],
    [opus, "opus"],
  ] as const) {
    const { movie } = read([serializeInitSegment(track)]);
    const [read0] = movie.tracks;
    assert.equal(read0?.codec.toLowerCase(), codec);
    assert.equal(codecString(track), codec);
    assert.equal(read0?.timescale, track.timescale);
    assert.equal(movie.isFragmented, true);
    if (track.kind === "video") assert.deepEqual([read0?.video?.width, read0?.video?.height], [320, 180]);
    else assert.deepEqual([read0?.audio?.sample_rate, read0?.audio?.channel_count], [48_000, 2]);
  }
});

test("H.265 is written as hvc1 and named with reversed compatibility bits", () => {
  const { movie } = read([serializeInitSegment(h265)]);
  assert.equal(movie.tracks[0]?.codec, codecString(h265));
  assert.equal(codecString(h265), "hvc1.1.6.L120.90");
});

test("the same track gives the same bytes", () => {
  assert.deepEqual(serializeInitSegment(h264), serializeInitSegment({ ...h264 }));
});

const picture = (fill: number, size: number): Uint8Array =>
  joinAnnexB([Uint8Array.of(0x65, ...Array(size).fill(fill))]);

function sample(dts: number, pts: number, isSync: boolean, data: Uint8Array): FragmentSample {
  return { dts, pts, duration: 3_000, isSync, data };
}

test("a fragment holds its samples with times since 1970, reordering and sync flags", () => {
  const start = 1_763_800_000 * 90_000;
  const samples = [
    sample(start, start + 6_000, true, picture(1, 9)),
    sample(start + 3_000, start + 12_000, false, picture(2, 7)),
    sample(start + 6_000, start + 3_000, false, picture(3, 300)),
  ];
  const fragment = serializeFragment(samples, { sequence: 7, isVideo: true, baseTime: start, keepNal: () => true });
  const { samples: found } = read([serializeInitSegment(h264), fragment]);
  assert.deepEqual(
    found.map(({ dts, cts, is_sync, duration }) => [dts, cts, is_sync, duration]),
    samples.map(({ dts, pts, isSync, duration }) => [dts, pts, isSync, duration]),
  );
  const lengthPrefixed = Uint8Array.of(0, 0, 0, 10, 0x65, ...Array(9).fill(1));
  assert.deepEqual(Uint8Array.from(found[0]!.data!), lengthPrefixed);
});

test("fragments joined to a segment are read one after another", () => {
  const fragments = [0, 1, 2].map((index) => {
    const dts = index * 3_000;
    const options = { sequence: index, isVideo: false, baseTime: dts };
    return serializeFragment([sample(dts, dts, true, Uint8Array.of(index, 1, 2))], options);
  });
  const { samples: found } = read([serializeInitSegment(aac), Buffer.concat(fragments)]);
  assert.deepEqual(
    found.map(({ dts, data }) => [dts, data![0]]),
    [
      [0, 0],
      [3_000, 1],
      [6_000, 2],
    ],
  );
});

test("NAL units that are not kept leave no trace", () => {
  const data = joinAnnexB([Uint8Array.of(9, 0xf0), Uint8Array.of(0x65, 1, 2, 3)]);
  const keepNal = (bytes: Uint8Array, start: number): boolean => bytes[start] !== 9;
  const fragment = serializeFragment([sample(0, 0, true, data)], { sequence: 1, isVideo: true, baseTime: 0, keepNal });
  assert.deepEqual([...fragment.subarray(-8)], [0, 0, 0, 4, 0x65, 1, 2, 3]);
});
