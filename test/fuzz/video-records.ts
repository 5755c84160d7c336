import assert from "node:assert/strict";
import { codecString } from "../../media-node/cmaf/codec-string.ts";
import { serializeInitSegment } from "../../media-node/cmaf/init-segment.ts";
import {
  av1ConfigOf,
  obusOf,
  parseAv1Config,
  startsAv1Decoding,
  withoutDelimiter,
} from "../../media-node/codecs/av1.ts";
import { vp9ConfigOf, vp9KeyFrame } from "../../media-node/codecs/vp9.ts";
import { ProtocolError } from "../../media-node/flow/errors.ts";

export const seeds = [
  // AV1: a delimiter, a sequence header of libaom, a frame; then one with a timing model.
  [0x12, 0, 0x0a, 0x0b, 0, 0, 0, 0x24, 0xcf, 0x7f, 0x0d, 0xbf, 0xff, 0xfc, 0x64, 0x32, 2, 0x10, 0xff],
  [0x0a, 0x0c, 0x20, 0x40, 0, 0, 1, 0x24, 0xcf, 0x7f, 0x0d, 0xbf, 0xff, 0xfc, 0x32, 2, 0x10, 0xff],
  // VP9: key frames of profile 0 and 2.
  [0x82, 0x49, 0x83, 0x42, 0, 0x27, 0xf0, 0x16, 0x70],
  [0x90, 0x49, 0x83, 0x42, 0x80, 0x13, 0xf8, 0x0b, 0x38],
].map((bytes) => Uint8Array.from(bytes));

const shared = { kind: "video", timescale: 90_000, width: 16, height: 16, sampleRate: 0, channels: 0 } as const;

/** Records of AV1 and VP9: whatever is made of a frame can be read again, named and written. */
export function fuzz(input: Uint8Array): void {
  const unit = withoutDelimiter(input);
  let end = 0;
  for (const obu of obusOf(unit)) {
    assert.ok(obu.start === end && obu.end > obu.start && obu.end <= unit.length);
    end = obu.end;
  }
  startsAv1Decoding(unit);
  const av1 = av1ConfigOf(unit);
  if (av1) {
    const { width, height } = parseAv1Config(av1);
    assert.ok(width > 0 && height > 0);
    assert.match(codecString({ ...shared, codec: "av1", decoderConfig: av1 }), /^av01\.\d\.\d\d[MH]\.(?:08|10|12)$/);
    serializeInitSegment({ ...shared, codec: "av1", decoderConfig: av1 });
  }
  try {
    parseAv1Config(input);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
  const vp9 = vp9ConfigOf(input);
  assert.equal(vp9 === undefined, vp9KeyFrame(input) === undefined);
  if (vp9)
    assert.match(codecString({ ...shared, codec: "vp9", decoderConfig: vp9 }), /^vp09\.0[0-3]\.\d\d\.(?:08|10|12)$/);
}
