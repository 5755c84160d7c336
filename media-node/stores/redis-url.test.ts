import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingError } from "../flow/errors.ts";
import { parseRedisUrl } from "./redis-url.ts";

const plain = { port: 6379, isTls: false, username: undefined, password: undefined, database: 0 };

test("reads host, port, user, password, database and TLS from a URL", () => {
  const table = [
    ["redis://redis.example", { ...plain, host: "redis.example" }],
    ["redis://127.0.0.1:7000/", { ...plain, host: "127.0.0.1", port: 7000 }],
    ["redis://[::1]:7000/3", { ...plain, host: "::1", port: 7000, database: 3 }],
    ["redis://:p%40ss@h", { ...plain, host: "h", password: "p@ss" }],
    [
      "rediss://hearth:a%2Fb@h:6380",
      { ...plain, host: "h", port: 6380, isTls: true, username: "hearth", password: "a/b" },
    ],
  ] as const;
  for (const [url, address] of table) assert.deepEqual(parseRedisUrl(url), address, url);
});

test("refuses what is no Redis URL without repeating its password", () => {
  for (const url of [
    "",
    "redis",
    "http://h",
    "redis://",
    "redis://h/x",
    "redis://:s3cret%@h",
    "redis://h:99999",
    "redis://:s3cret@h/1/2",
  ]) {
    assert.throws(
      () => parseRedisUrl(url),
      (thrown) => thrown instanceof SettingError && !thrown.message.includes("s3cret"),
      url,
    );
  }
});
