import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { h265NalTypeOf, hvcConfigOf, isIrap, parseH265Sps, parseHvcConfig, serializeHvcConfig } from "./h265.ts";

// What an encoder of 640×360 at 30 frames per second made, and the record another implementation built of it.
const vps = fromHex("40010c01ffff01600000030090000003000003003fba0240");
const sps = fromHex("42010101600000030090000003000003003fa005020171f2e5ba4a4c2f016808000003000800000300f040");
const pps = fromHex("4401c073c189");
const record = fromHex(
  "0101600000009000000000003ff000fcfdf8f800000f03" +
    "a00001001840010c01ffff01600000030090000003000003003fba0240" +
    "a10001002b42010101600000030090000003000003003fa005020171f2e5ba4a4c2f016808000003000800000300f040" +
    "a2000100064401c073c189",
);

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

test("reads size and depth from an SPS", () => {
  const info = parseH265Sps(sps);
  assert.deepEqual(
    [info.width, info.height, info.chromaFormat, info.bitDepthLuma, info.bitDepthChroma, info.temporalLayers],
    [640, 360, 1, 8, 8, 1],
  );
  assert.equal(info.isTemporalIdNested, true);
  assert.equal(info.reorderFrames, 0);
});

test("reads how many pictures an encoder with B-frames reorders; a set that ends before that is read all the same", () => {
  const withBFrames = fromHex("42010101600000030090000003000003003ca00a080c1f3e595952930bc05a020000030002000003003210");
  assert.equal(parseH265Sps(withBFrames).reorderFrames, 2);
  assert.deepEqual(
    [parseH265Sps(withBFrames.subarray(0, 26)).width, parseH265Sps(withBFrames.subarray(0, 26)).reorderFrames],
    [320, undefined],
  );
});

test("a foreign record is read in full and written again byte by byte", () => {
  const config = parseHvcConfig(record);
  assert.deepEqual(
    config.arrays.map(({ nals }) => nals),
    [[vps], [sps], [pps]],
  );
  assert.deepEqual(serializeHvcConfig(config).slice(), record);
});

test("a record made of parameter sets reads as the same sets, and is written again as the same bytes", () => {
  const bytes = serializeHvcConfig(hvcConfigOf([vps], [sps], [pps])).slice();
  const config = parseHvcConfig(bytes);
  assert.deepEqual(
    config.arrays.map(({ nalType, isComplete, nals }) => [nalType, isComplete, nals]),
    [
      [32, true, [vps]],
      [33, true, [sps]],
      [34, true, [pps]],
    ],
  );
  assert.equal(config.lengthSize, 4);
  assert.deepEqual(serializeHvcConfig(config).slice(), bytes);
});

test("every shorter record and SPS is refused, or holds only what was there", () => {
  for (let length = 0; length < record.length; length++) {
    assert.throws(() => parseHvcConfig(record.subarray(0, length)), ProtocolError, `record of ${length}`);
  }
  for (let length = 0; length < 22; length++) {
    assert.throws(() => parseH265Sps(sps.subarray(0, length)), ProtocolError, `SPS of ${length}`);
  }
});

test("random access pictures are told by their type", () => {
  assert.deepEqual([1, 9, 15, 16, 19, 20, 21, 23, 24].map(isIrap), [
    false,
    false,
    false,
    true,
    true,
    true,
    true,
    true,
    false,
  ]);
  assert.equal(h265NalTypeOf(sps[0]!), 33);
});
