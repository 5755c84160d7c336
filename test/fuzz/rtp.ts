// RTP headers as they come from anybody: refused with a ProtocolError, or values that hold only bytes that were there.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { serializePlayoutDelay } from "../../media-node/rtp/playout-delay.ts";
import { parseRtpPacket, type RtpPacket } from "../../media-node/rtp/rtp-packet.ts";

const header = [0x80, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];

export const seeds = [
  [...header, 1, 2, 3],
  // Two contributing sources, padding.
  [0xa2, 0xe0, ...header.slice(2), 0, 0, 0, 4, 0, 0, 0, 5, 9, 8, 0, 0, 3],
  // Header extensions in both forms.
  [0x90, ...header.slice(1), ...serializePlayoutDelay(2, { minMs: 100, maxMs: 2_000 }), 7],
  [0x90, ...header.slice(1), ...serializePlayoutDelay(200, { minMs: 0, maxMs: 0 }), 7],
].map((bytes) => Uint8Array.from(bytes));

export function fuzz(input: Uint8Array): void {
  let packet: RtpPacket;
  try {
    packet = parseRtpPacket(input);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return;
    throw thrown;
  }
  const { payload, payloadType, sequence, timestamp, ssrc } = packet;
  const start = payload.byteOffset - input.byteOffset;
  assert.ok(start >= 12 && start + payload.length <= input.length);
  assert.ok(payloadType < 128 && sequence < 65_536);
  for (const word of [timestamp, ssrc]) assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 32);
}
