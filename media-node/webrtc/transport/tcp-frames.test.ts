import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../flow/errors.ts";
import { TcpFrames } from "./tcp-frames.ts";

const packets = [Buffer.from("a"), Buffer.alloc(0), Buffer.alloc(2048, 7), Buffer.from("bcd")];
const stream = Buffer.concat(
  packets.flatMap((packet) => [Buffer.from([packet.length >> 8, packet.length & 255]), packet]),
);

const cut = (...pieces: readonly Uint8Array[]): Buffer[] => {
  const frames = new TcpFrames();
  const taken: Buffer[] = [];
  for (const piece of pieces) frames.push(piece, (packet) => taken.push(Buffer.from(packet)));
  return taken;
};

test("packets are the same however the stream is cut", () => {
  for (let at = 0; at <= stream.length; at++) {
    assert.deepEqual(cut(stream.subarray(0, at), stream.subarray(at)), packets, `cut at ${at}`);
  }
  assert.deepEqual(cut(...Array.from(stream, (byte) => Uint8Array.of(byte))), packets);
});

test("a packet longer than any of ours ends the connection, in one piece or in two", () => {
  assert.throws(() => cut(Uint8Array.of(0x08, 0x01)), ProtocolError);
  assert.throws(() => cut(Uint8Array.of(0x08), Uint8Array.of(0x01)), ProtocolError);
});
