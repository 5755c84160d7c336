import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newTraceId, parseTraceId, parseTraceparent, takeTraceId, traceparentOf } from "./trace-id.ts";

const id = "4bf92f3577b34da6a3ce929d0e0e4736";
const parent = "00f067aa0ba902b7";

describe("a traceparent", () => {
  // The first is the specification's own (W3C Trace Context §3.2.3).
  const good = [
    `00-${id}-${parent}-01`,
    `00-${id}-${parent}-00`,
    `01-${id}-${parent}-01`,
    `cc-${id}-${parent}-01-more`,
  ];
  for (const value of good) test(`${value} gives its id`, () => assert.equal(parseTraceparent(value), id));

  const hostile: [what: string, value: string | undefined][] = [
    ["none", undefined],
    ["empty", ""],
    ["version ff", `ff-${id}-${parent}-01`],
    ["version 00 that says more", `00-${id}-${parent}-01-more`],
    ["a later version without its dash", `01-${id}-${parent}-01more`],
    ["an id of zeros", `00-${"0".repeat(32)}-${parent}-01`],
    ["a parent of zeros", `00-${id}-${"0".repeat(16)}-01`],
    ["capitals", `00-${id.toUpperCase()}-${parent}-01`],
    ["a letter that is no digit", `00-${id.slice(1)}g-${parent}-01`],
    ["a digit too many", `00-${id}0-${parent}-01`],
    ["two of them joined", `00-${id}-${parent}-01, 00-${id}-${parent}-01`],
    ["a line break", `00-${id}-${parent}-01\r\n`],
    ["space in front", ` 00-${id}-${parent}-01`],
    ["a megabyte", `01-${id}-${parent}-01-${"x".repeat(1 << 20)}`],
  ];
  for (const [what, value] of hostile) {
    test(`with ${what} is ignored`, () => assert.equal(parseTraceparent(value), undefined));
  }

  test("that is cut anywhere is ignored", () => {
    const whole = good[0]!;
    for (let length = 0; length < whole.length; length++) {
      assert.equal(parseTraceparent(whole.slice(0, length)), undefined, whole.slice(0, length));
    }
  });

  test("that is handed on carries the same id and another parent", () => {
    const handedOn = traceparentOf(id);
    assert.match(handedOn, new RegExp(`^00-${id}-[\\da-f]{16}-00$`));
    assert.equal(parseTraceparent(handedOn), id);
    assert.notEqual(traceparentOf(id), handedOn);
    assert.equal(parseTraceparent(traceparentOf(id, (count) => new Uint8Array(count))), id);
  });
});

test("a new id is one, whatever the random source gives", () => {
  assert.equal(parseTraceId(newTraceId())?.length, 32);
  const zeros = newTraceId((count) => new Uint8Array(count));
  assert.equal(parseTraceId(zeros), zeros);
});

test("an id is 32 hexadecimal digits and nothing else", () => {
  const others = [undefined, null, 7, {}, [id], "", `${id}0`, id.slice(1), id.toUpperCase(), "0".repeat(32), `${id}\n`];
  for (const value of others) assert.equal(parseTraceId(value), undefined);
});

test("a query gives the id away, and keeps everything else as it came", () => {
  const rows: [query: string, traceId: string | undefined, rest: string][] = [
    ["", undefined, ""],
    ["a=%20x&b=1", undefined, "a=%20x&b=1"],
    [`a=%20x&rt=t&rtid=${id}`, id, "a=%20x&rt=t"],
    [`rtid=${id}&a=1&&b`, id, "a=1&&b"],
    [`rtid=${id}`, id, ""],
    // Ours whatever it says: an origin or a signature has nothing to do with it.
    ["rtid=<script>&a=1", undefined, "a=1"],
    ["rtid", undefined, ""],
    [`rtid=${"f".repeat(1_000_000)}`, undefined, ""],
    [`rtid=${id}&rtid=${id.replace("4", "5")}`, id, ""],
    // Somebody else's keys.
    [`xrtid=${id}&rtids=1`, undefined, `xrtid=${id}&rtids=1`],
  ];
  for (const [query, traceId, rest] of rows) assert.deepEqual(takeTraceId(query), { traceId, rawQuery: rest });
});
