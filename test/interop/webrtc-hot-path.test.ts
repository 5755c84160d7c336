// What a packet costs the garbage collector on its way from the published sample to the socket.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../support/hot-path-process.ts", import.meta.url));
/** A young generation that holds all that is measured: nothing is collected, so that what is used is what was allocated. */
const execArgv = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"];

interface Measured {
  readonly tier: string;
  readonly packets: number;
  readonly collections: number;
  readonly bytesPerPacket: number;
}

async function measure(tier: string, frames: number): Promise<Measured> {
  const child = fork(script, [tier, String(frames)], { execArgv });
  const ended = once(child, "exit").then(([code]): never => {
    throw new Error(`ended with code ${code}`);
  });
  const [measured] = (await Promise.race([once(child, "message"), ended])) as [Measured];
  ended.catch(() => {});
  return measured;
}

test("cut once, sent to many by native code: no object is made for a packet", async (t) => {
  const { tier, packets, collections, bytesPerPacket } = await measure("ffi", 260);
  t.diagnostic(`${tier}: ${packets} packets, ${bytesPerPacket.toFixed(1)} bytes each`);
  assert.notEqual(tier, "portable");
  assert.ok(packets > 100_000, `${packets} packets`);
  assert.equal(collections, 0, "what was collected would not be counted");
  // The smallest object with a field is 16 bytes; sender reports and pacing are some bytes for each packet.
  assert.ok(bytesPerPacket < 64, `${bytesPerPacket} bytes for a packet`);
});

test("without native code a packet costs the request that dgram makes of it, and little more", async (t) => {
  const { tier, packets, collections, bytesPerPacket } = await measure("portable", 80);
  t.diagnostic(`${tier}: ${packets} packets, ${bytesPerPacket.toFixed(1)} bytes each`);
  assert.equal(tier, "portable");
  assert.ok(packets > 30_000, `${packets} packets`);
  assert.equal(collections, 0, "what was collected would not be counted");
  assert.ok(bytesPerPacket < 4_096, `${bytesPerPacket} bytes for a packet`);
});
