import assert from "node:assert/strict";
import { test } from "node:test";
import { OggPackets, opusPreSkip } from "./ogg-packets.ts";

/** A page with these segments; `continues` where it goes on with the last page's packet. */
function page(segments: readonly Uint8Array[], continues = false): Uint8Array {
  const head = new Uint8Array(27 + segments.length);
  head.set([0x4f, 0x67, 0x67, 0x53, 0, continues ? 1 : 0]);
  head[26] = segments.length;
  segments.forEach((segment, index) => (head[27 + index] = segment.length));
  return Buffer.concat([head, ...segments]);
}
const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

const stream = Buffer.concat([
  page([filled(19, 1)]),
  page([filled(255, 2), filled(255, 2), filled(0, 2), filled(7, 3)]),
  page([filled(255, 4)]),
  page([filled(10, 4), filled(3, 5)], true),
  page([filled(255, 6)]),
  // What was open is never finished: this page does not go on with it.
  page([filled(2, 7)]),
]);
const packets = [filled(19, 1), filled(510, 2), filled(7, 3), filled(265, 4), filled(3, 5), filled(2, 7)];

function read(chunks: readonly Uint8Array[]): Uint8Array[] {
  const got: Uint8Array[] = [];
  const ogg = new OggPackets((packet) => got.push(packet));
  for (const chunk of chunks) ogg.push(chunk);
  return got;
}

test("packets come out the same wherever the stream is cut", () => {
  assert.deepEqual(read([stream]), packets);
  for (let at = 0; at <= stream.length; at++)
    assert.deepEqual(read([stream.subarray(0, at), stream.subarray(at)]), packets);
  assert.deepEqual(read(Array.from(stream, (byte) => Uint8Array.of(byte))), packets);
});

test("a packet keeps its bytes when the chunk it came in is used again", () => {
  const chunk = Buffer.from(stream);
  const got = read([chunk]);
  chunk.fill(0xff);
  assert.deepEqual(got, packets);
});

test("what is no Ogg, and a packet without end, are refused", () => {
  assert.throws(() => read([Buffer.from("OggX")]), { code: "OGG_SYNC" });
  assert.throws(() => read([Buffer.from("RIFF")]), { code: "OGG_SYNC" });
  const full = page(Array.from({ length: 255 }, () => filled(255, 1)));
  const more = page([filled(255, 1)], true);
  assert.throws(() => read([full, more]), { code: "OGG_PACKET" });
});

test("the head says how much a decoder skips (RFC 7845 §5.1)", () => {
  const head = Buffer.concat([Buffer.from("OpusHead"), Uint8Array.of(1, 2, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0)]);
  assert.equal(opusPreSkip(head), 312);
  assert.equal(opusPreSkip(head.subarray(0, 18)), undefined);
  assert.equal(opusPreSkip(Buffer.from("OpusTags and something")), undefined);
});
