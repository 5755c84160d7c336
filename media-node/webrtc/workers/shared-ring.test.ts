import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../test/support/seeded-random.ts";
import { newSharedRing, RingReader, RingWriter } from "./shared-ring.ts";

test("records of any length come out in order, whole, however often the ring goes round", () => {
  const memory = newSharedRing(4096);
  const [writer, reader] = [new RingWriter(memory), new RingReader(memory)];
  const random = seededRandom(7);
  const sent: Uint8Array[] = [];
  const got: Uint8Array[] = [];
  let refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const record = new Uint8Array(Math.floor(random() * 1500)).fill(i);
    if (writer.write(record)) sent.push(record);
    else refused++;
    if (random() < 0.4) reader.drain((bytes) => got.push(bytes.slice()));
  }
  reader.drain((bytes) => got.push(bytes.slice()));
  assert.deepEqual(got, sent);
  assert.ok(refused > 100, "a full ring refuses");
});

test("what can never fit is refused, and a reader that throws has taken its record", () => {
  const memory = newSharedRing(1024);
  const [writer, reader] = [new RingWriter(memory), new RingReader(memory)];
  assert.equal(writer.write(new Uint8Array(2000)), false);
  assert.equal(writer.write(Uint8Array.of(1)), true);
  assert.equal(writer.write(Uint8Array.of(2)), true);
  const fail = (): void => {
    throw new Error("no");
  };
  assert.throws(() => reader.drain(fail));
  const rest: number[] = [];
  reader.drain((bytes) => rest.push(bytes[0]!));
  assert.deepEqual(rest, [2]);
});

test("a reader that waits is woken", async () => {
  const memory = newSharedRing(1024);
  const [writer, reader] = [new RingWriter(memory), new RingReader(memory)];
  const waiting = reader.wait();
  writer.write(Uint8Array.of(9));
  writer.wake();
  await waiting;
  const got: number[] = [];
  reader.drain((bytes) => got.push(bytes[0]!));
  assert.deepEqual(got, [9]);
  writer.write(Uint8Array.of(8));
  await reader.wait();
});
