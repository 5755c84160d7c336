import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingError } from "../flow/errors.ts";
import { parseRedisUrl } from "./redis-url.ts";

const plain = {
  kind: "single",
  isTls: false,
  username: undefined,
  password: undefined,
  database: 0,
  master: "",
} as const;

test("reads host, port, user, password, database and TLS from a URL", () => {
  const at = (host: string, port = 6379) => ({ ...plain, hosts: [{ host, port }] });
  const table = [
    ["redis://redis.example", at("redis.example")],
    ["redis://127.0.0.1:7000/", at("127.0.0.1", 7000)],
    ["redis://[::1]:7000/3", { ...at("::1", 7000), database: 3 }],
    ["redis://[::1]", at("::1")],
    ["redis://:p%40ss@h", { ...at("h"), password: "p@ss" }],
    ["rediss://hearth:a%2Fb@h:6380", { ...at("h", 6380), isTls: true, username: "hearth", password: "a/b" }],
  ] as const;
  for (const [url, target] of table) assert.deepEqual(parseRedisUrl(url), target, url);
});

test("reads the sentinels and nodes of a cluster from a URL", () => {
  assert.deepEqual(parseRedisUrl("rediss-sentinel://:pw@s1,[::2]:26380/main/4"), {
    ...plain,
    kind: "sentinel",
    isTls: true,
    password: "pw",
    hosts: [
      { host: "s1", port: 26_379 },
      { host: "::2", port: 26_380 },
    ],
    master: "main",
    database: 4,
  });
  assert.deepEqual(parseRedisUrl("redis-cluster://a:7000,b"), {
    ...plain,
    kind: "cluster",
    hosts: [
      { host: "a", port: 7000 },
      { host: "b", port: 6379 },
    ],
  });
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
    "redis://a,b",
    "redis-sentinel://:s3cret@a,b",
    "redis-cluster://:s3cret@a/1",
    "redis://a:b:c",
    "redis://h/0?x",
  ]) {
    assert.throws(
      () => parseRedisUrl(url),
      (thrown) => thrown instanceof SettingError && !thrown.message.includes("s3cret"),
      url,
    );
  }
});
