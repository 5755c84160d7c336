// A media packet's bytes: a ProtocolError, or fields that are written again as the same bytes, but for a duration out of bounds.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { parseOvtMedia, serializeOvtMediaHeader } from "../../media-node/ovt/ovt-media.ts";
import { parseOvtHeader, writeOvtHeader } from "../../media-node/ovt/ovt-packet.ts";

export function fuzz(input: Uint8Array): void {
  try {
    const media = parseOvtMedia(input);
    const again = Buffer.concat([serializeOvtMediaHeader(media, media.data.length), media.data]);
    const wanted = Buffer.from(input);
    if (media.duration === 0 && !Number.isSafeInteger(Number(wanted.readBigInt64BE(20)))) wanted.fill(0, 20, 28);
    assert.ok(again.equals(wanted));
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
  try {
    const header = parseOvtHeader(input);
    const again = Buffer.alloc(18);
    writeOvtHeader(new DataView(again.buffer, again.byteOffset, 18), 0, header);
    // Reserved bits are ignored, and written as zeros.
    assert.equal(again[0], input[0]! & 0xe0);
    assert.ok(again.subarray(1).equals(input.subarray(1, 18)));
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}
