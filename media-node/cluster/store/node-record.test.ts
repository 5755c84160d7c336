import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { importSigningKey, signText } from "../ticket/signing-key.ts";
import type { NodeRecord } from "./contract.ts";
import { parseNodeRecord, signNodeRecord } from "./node-record.ts";

const nowMs = Date.UTC(2026, 0, 1);
const key = await importSigningKey("a secret for tests only");
const record: NodeRecord = {
  id: "edge-1.example",
  url: "https://edge-1.example:8443",
  state: "serving",
  protocols: ["webrtc", "whep", "llhls"],
  region: "EU/DE",
  viewers: 3,
  maxViewers: 100,
  egressBps: 12_500_000,
  cpu: 0.25,
  streams: { "default/app/ström": 3 },
  origins: ["default/app/own"],
  startedMs: nowMs - 60_000,
};

/** Signs anything as a node would: what a node with the secret, but with a mistake, would publish. */
async function signed(value: unknown): Promise<string> {
  const body = JSON.stringify({ at: nowMs, record: value });
  return `${await signText(key, "hearth node 1", body)}.${body}`;
}

const refusalOf = async (text: string, atMs = nowMs) => {
  const verdict = await parseNodeRecord(key, text, atMs);
  return verdict.trusted ? undefined : verdict.refusal;
};

describe("a node record", () => {
  test("is read as it was signed", async () => {
    const text = await signNodeRecord(key, record, nowMs);
    assert.deepEqual(await parseNodeRecord(key, text, nowMs + 2_000), { trusted: true, record, signedMs: nowMs });
  });

  test("played back after its lease is stale, by the store's clock", async () => {
    const text = await signNodeRecord(key, record, nowMs);
    assert.equal(await refusalOf(text, nowMs + 10_000), undefined);
    assert.equal(await refusalOf(text, nowMs + 10_001), "stale");
    assert.equal(await refusalOf(text, nowMs - 10_001), "stale");
  });

  test("cut or changed anywhere is refused", async () => {
    const text = await signNodeRecord(key, record, nowMs);
    for (let at = 0; at < text.length; at++) {
      assert.notEqual(await refusalOf(text.slice(0, at)), undefined, `cut at ${at}`);
      const changed = text.slice(0, at) + (text[at] === "1" ? "2" : "1") + text.slice(at + 1);
      assert.notEqual(await refusalOf(changed), undefined, `changed at ${at}`);
    }
  });

  test("forged says whom it claims to be, for the operator", async () => {
    const text = `${"A".repeat(43)}.${JSON.stringify({ at: nowMs, record })}`;
    assert.deepEqual(await parseNodeRecord(key, text, nowMs), { trusted: false, refusal: "forged", id: record.id });
  });

  test("needs no signature in a cluster without a secret, but one with a secret refuses it", async () => {
    const text = await signNodeRecord(undefined, record, nowMs);
    assert.equal((await parseNodeRecord(undefined, text, nowMs)).trusted, true);
    assert.equal(await refusalOf(text), "forged");
  });

  for (const [what, value] of [
    ["no object", "x"],
    ["an id that is a path", { ...record, id: "../x" }],
    ["an unknown state", { ...record, state: "asleep" }],
    ["an unknown protocol", { ...record, protocols: ["rtmp"] }],
    ["negative viewers", { ...record, viewers: -1 }],
    ["viewers as text", { ...record, viewers: "3" }],
    ["streams as a list", { ...record, streams: [] }],
    ["audiences that are texts", { ...record, audiences: { "default/app/a": "3" } }],
    ["origins that are numbers", { ...record, origins: [1] }],
    ["a stream name beyond measure", { ...record, streams: { ["x".repeat(771)]: 1 } }],
  ] as const) {
    test(`with ${what} is malformed`, async () => {
      assert.equal(await refusalOf(await signed(value)), "malformed");
    });
  }

  for (const url of [
    "edge.example",
    "ftp://edge.example",
    "javascript:alert(1)",
    "//edge.example",
    "https://edge.example/",
    "https://edge.example/path",
    "https://edge.example?x",
    "https://user@edge.example",
    "https://edge.example:443",
    "https://EDGE.example",
    "https://edge.example\r\nX: y",
    "https://edge.example\\@evil.example",
    "http://2130706433",
    "http://0x7f.1",
    "http://①.example",
    "http://[::ffff:127.0.0.1]",
    "https://",
    `https://${"a".repeat(300)}`,
  ]) {
    test(`with the address ${JSON.stringify(url.slice(0, 40))} is malformed`, async () => {
      assert.equal(await refusalOf(await signed({ ...record, url })), "malformed");
    });
  }

  test("of a node with more streams than fit names the most watched", async () => {
    const streams = Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`default/app/a-long-name-${i}`, i]));
    const text = await signNodeRecord(key, { ...record, streams }, nowMs);
    assert.ok(text.length <= 65_536);
    const verdict = await parseNodeRecord(key, text, nowMs);
    assert.ok(verdict.trusted);
    assert.equal(verdict.record.streams["default/app/a-long-name-3999"], 3_999);
    assert.ok(Object.keys(verdict.record.streams).length >= 1_000);
  });

  test("longer than the store keeps is refused unread", async () => {
    assert.equal(await refusalOf("x".repeat(65_537)), "too-long");
  });
});
