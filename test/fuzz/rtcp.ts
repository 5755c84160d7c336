import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { parseRtcp, serializeRtcp } from "../../media-node/rtp/rtcp.ts";

/** Whatever a viewer sends is refused with a code, or survives being written and read again. */
export function fuzz(input: Uint8Array): void {
  let packets;
  try {
    packets = parseRtcp(input);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return;
    throw thrown;
  }
  const again = parseRtcp(serializeRtcp(packets));
  assert.equal(again.length, packets.length);
  again.forEach((packet, i) => assert.equal(packet.type, packets[i]!.type));
}

/** What random changes start from: one of each kind, two of them compound. */
export const seeds: readonly Uint8Array[] = [
  "80c8000600000001e00000008000000000015f9000000007000002bc81ca0003000000050102616200000000",
  "81c9000700000001deadbeef0cfffffd0001117000000009123456780001000081ce00020000000100000002",
  "81cd00040000000100000002ffff8001012c0000",
  "8fce0005000000010000000052454d42010bd09000000002",
  "84ce000400000001000000000000000209000000",
  "82cb00020000000100000002",
  "a1ce0003000000010000000200000004",
].map((hex) => Uint8Array.from(Buffer.from(hex, "hex")));
