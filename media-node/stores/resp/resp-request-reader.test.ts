import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../flow/errors.ts";
import { RespRequestReader } from "./resp-request-reader.ts";
import { serializeRespValue } from "./resp-value.ts";

const limits = { maxArguments: 8, maxArgumentBytes: 64, maxCommandBytes: 128 };
const read = (...pieces: string[]): string[][] => {
  const reader = new RespRequestReader(limits);
  return pieces.flatMap((piece) => reader.push(Buffer.from(piece, "latin1")));
};
const valid = [
  ["*1\r\n$4\r\nPING\r\n", [["PING"]]],
  ["*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", [["SET", "k", ""]]],
  ["*2\r\n$3\r\nGET\r\n$6\r\na\r\nb\0c\r\nPING\r\n", [["GET", "a\r\nb\0c"], ["PING"]]],
  ["*1\n$4\nQUIT\r\n", [["QUIT"]]],
  ["\r\n*0\r\n set  k v \r\n", [["set", "k", "v"]]],
  ["*1\r\n$2\r\n\xc3\xa9\r\n", [["\xc3\xa9"]]],
] as const;

test("reads commands as arrays of bulk strings and as lines", () => {
  for (const [bytes, commands] of valid) assert.deepEqual(read(bytes), commands);
});

test("reads the same however the bytes are cut", () => {
  for (const [bytes, commands] of valid) {
    for (let cut = 0; cut <= bytes.length; cut++) {
      assert.deepEqual(read(bytes.slice(0, cut), bytes.slice(cut)), commands, JSON.stringify(bytes.slice(0, cut)));
    }
    assert.deepEqual(read(...bytes.split("")), commands);
  }
});

test("answers every prefix with whole commands only", () => {
  for (const [bytes, commands] of valid) {
    for (let end = 0; end < bytes.length; end++) {
      const got = read(bytes.slice(0, end));
      assert.deepEqual(got, commands.slice(0, got.length));
    }
  }
});

test("refuses what is too long or no request", () => {
  const table = [
    ["*9\r\n", "RESP_TOO_LONG"],
    ["*1\r\n$65\r\n", "RESP_TOO_LONG"],
    [`*3\r\n${`$60\r\n${"x".repeat(60)}\r\n`.repeat(3)}`, "RESP_TOO_LONG"],
    ["*-1\r\n", "RESP_BAD_NUMBER"],
    ["*x\r\n", "RESP_BAD_NUMBER"],
    ["*99999999999\r\n", "RESP_BAD_NUMBER"],
    ["*1\r\n+PING\r\n", "RESP_NO_BULK"],
    ["*1\r\n$4\r\nPINGxx", "RESP_BAD_LENGTH"],
    ["x".repeat(5_000), "RESP_LONG_LINE"],
  ] as const;
  for (const [bytes, code] of table) {
    assert.throws(
      () => read(bytes),
      (thrown) => thrown instanceof ProtocolError && thrown.code === code,
      bytes.slice(0, 20),
    );
  }
});

test("writes every kind of reply", () => {
  assert.equal(
    serializeRespValue(["a\r\n", 1, null, { status: "OK" }, { error: "ERR x\r\ny" }, []]),
    "*6\r\n$3\r\na\r\n\r\n:1\r\n$-1\r\n+OK\r\n-ERR x y\r\n*0\r\n",
  );
});
