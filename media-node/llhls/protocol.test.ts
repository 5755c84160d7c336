import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { ManualClock } from "../time/manual-clock.ts";
import { parseDirectives } from "./directives.ts";
import { HeldRequests, type HeldRequest } from "./held-requests.ts";
import { parseFileName, serializeFileName, type FileName } from "./names.ts";
import { parseRange } from "./reply.ts";
import { isKeyOf, streamFileKey } from "./stream-key.ts";
import { createViewerTokens } from "./viewer-token.ts";

const names: readonly [string, FileName][] = [
  ["llhls.m3u8", { kind: "master", playlist: "llhls" }],
  ["chunklist_0_video_OyTNQB97_llhls.m3u8", { kind: "media", trackId: 0, type: "video", key: "OyTNQB97" }],
  ["init_1_audio_OyTNQB97_llhls.m4s", { kind: "init", trackId: 1, type: "audio", key: "OyTNQB97" }],
  ["seg_0_12_video_OyTNQB97_llhls.m4s", { kind: "segment", trackId: 0, msn: 12, type: "video", key: "OyTNQB97" }],
  ["part_0_6_4_video_a-b3_llhls.m4s", { kind: "part", trackId: 0, msn: 6, part: 4, type: "video", key: "a-b3" }],
];

test("file names are OvenMediaEngine's, both ways", () => {
  for (const [text, name] of names) {
    assert.deepEqual(parseFileName(text), name);
    assert.equal(serializeFileName(name), text);
  }
});

test("every prefix of a file name, and nonsense, is another master playlist or nobody's", () => {
  for (const [text] of names) {
    for (let length = 0; length < text.length; length++) assert.equal(parseFileName(text.slice(0, length)), undefined);
  }
  for (const text of ["chunklist_0_1_video_k_llhls.m3u8", "part_0_1_video_k_llhls.m4s", "ts:x.m3u8", "a".repeat(300)]) {
    assert.equal(parseFileName(text), undefined, text);
  }
});

test("directives that no answer satisfies are refused", () => {
  const parse = (query: string) => parseDirectives(new URLSearchParams(query));
  for (const bad of [
    "_HLS_part=1",
    "_HLS_msn=-1",
    "_HLS_msn=1.5",
    "_HLS_msn=",
    "_HLS_msn=1&_HLS_part=x",
    "_HLS_msn=9e9",
  ]) {
    assert.equal(parse(bad), undefined, bad);
  }
  const both = { msn: 5, part: 2, isDelta: true, isLegacy: false, isRewind: true };
  assert.deepEqual(parse("_HLS_msn=5&_HLS_part=2&_HLS_skip=v2"), both);
  assert.deepEqual(parse("_HLS_legacy=yes&_HLS_rewind=no"), { isDelta: false, isLegacy: true, isRewind: false });
});

test("byte ranges are read as RFC 9110 says", () => {
  assert.deepEqual(parseRange("bytes=0-9", 100), [0, 10]);
  assert.deepEqual(parseRange("Bytes=90-", 100), [90, 100]);
  assert.deepEqual(parseRange("bytes=-5", 100), [95, 100]);
  assert.deepEqual(parseRange("bytes=50-500", 100), [50, 100]);
  assert.equal(parseRange("bytes=100-", 100), "unsatisfiable");
  assert.equal(parseRange("bytes=-0", 100), "unsatisfiable");
  for (const ignored of ["", "bytes=-", "bytes=9-1", "bytes=0-1,4-5", "lines=0-1"]) {
    assert.equal(parseRange(ignored, 100), undefined);
  }
});

test("a token is good on every node with the secret, for its stream, until it expires", () => {
  const randomBytes = (count: number): Uint8Array => new Uint8Array(count).fill(7);
  const node = (secret: string) => createViewerTokens({ secret, ttlMs: 60_000, randomBytes });
  const token = node("s").issue("v/app/a", 1_000_000);
  assert.ok(node("s").verify(token, "v/app/a", 1_059_000));
  assert.ok(!node("s").verify(token, "v/app/a", 1_061_000));
  assert.ok(!node("s").verify(token, "v/app/b", 1_000_000));
  assert.ok(!node("other").verify(token, "v/app/a", 1_000_000));
  for (let cut = 0; cut < token.length; cut++) assert.ok(!node("s").verify(token.slice(0, cut), "v/app/a", 1_000_000));
  assert.ok(!node("s").isOver(token, 1_061_000), "who watches with one that is only old goes on");
  assert.ok(node("s").isIssued(token, "v/app/a") && !node("other").isIssued(token, "v/app/a"));
  const ended = node("s").issue("v/app/a", 1_000_000, 1_030_000);
  assert.ok(node("s").verify(ended, "v/app/a", 1_029_000) && !node("s").isOver(ended, 1_029_000));
  assert.ok(!node("s").verify(ended, "v/app/a", 1_030_000) && node("s").isOver(ended, 1_030_000));
  const long = node("s").issue("v/app/a", 1_000_000, 5_000_000);
  assert.ok(node("s").verify(long, "v/app/a", 4_999_000), "a policy may end later than a token grows old");
  assert.ok(node("s").isOver(long, 5_000_000), "and ends who watches then");
  // As a node wrote it that knew one kind of end.
  const before = createHmac("sha256", "s").update("hearth llhls session\nv/app/a\nid\nt6").digest().subarray(0, 16);
  const old = `id_t6_${before.toString("base64url")}`;
  assert.ok(node("s").verify(old, "v/app/a", 1_000_000) && node("s").isOver(old, 1_100_000));
  const open = createViewerTokens({ ttlMs: 1, randomBytes });
  assert.ok(open.verify(open.issue("v/app/a", 0), "v/app/b", 1e12));
});

test("keys agree between nodes, differ between streams and secrets, and outlive an origin with a shared clock", () => {
  const name = { vhost: "v", app: "app", stream: "a" };
  const source = { tracks: [], playlists: [], epochMs: 5, isEpochShared: true, originId: "one", path: [] };
  const key = streamFileKey(name, source, "s");
  assert.equal(streamFileKey(name, { ...source, originId: "two" }, "s"), key);
  assert.notEqual(
    streamFileKey(name, { ...source, isEpochShared: false }, "s"),
    streamFileKey(name, { ...source, isEpochShared: false, originId: "two" }, "s"),
  );
  assert.ok(isKeyOf(key, name, "s") && isKeyOf(`${key}-1ab`, name, "s"));
  assert.ok(!isKeyOf(key, { ...name, stream: "b" }, "s") && !isKeyOf(key, name, "t") && !isKeyOf("", name, "s"));
});

interface Bench {
  readonly held: HeldRequests;
  readonly clock: ManualClock;
  readonly turn: () => void;
}

function bench(limits = { total: 1_000, perAddress: 1_000, perSession: 1_000 }): Bench {
  const clock = new ManualClock();
  const turns: (() => void)[] = [];
  const held = new HeldRequests({ clock, limits, yieldLoop: (next) => turns.push(next) });
  return { held, clock, turn: () => turns.splice(0).forEach((next) => next()) };
}

function request(more: Partial<HeldRequest> & { log?: string[] } = {}): HeldRequest {
  const release = (outcome: string): void => void more.log?.push(outcome);
  return { isReady: () => true, address: "a", session: "s", release, ...more };
}

test("held requests are released in slices, so that others get a turn", () => {
  const { held, turn } = bench();
  const log: string[] = [];
  const group = {};
  for (let index = 0; index < 80; index++) held.hold(group, request({ log }), 1_000);
  held.progress(group);
  held.progress(group);
  const after = [1, 2, 3].map(() => (turn(), log.length));
  assert.deepEqual(after, [32, 64, 80]);
  assert.equal(held.size, 0);
});

test("a held request expires, and is forgotten when its client goes", () => {
  const { held, clock, turn } = bench();
  const log: string[] = [];
  const group = {};
  held.hold(group, request({ log, isReady: () => false }), 1_000);
  const forget = held.hold(group, request({ log }), 1_000);
  forget!();
  held.progress(group);
  turn();
  assert.deepEqual(log, []);
  clock.advance(1_300);
  assert.deepEqual(log, ["expired"]);
  assert.equal(clock.pendingTimers, 0);
});

test("a request that is ready but not yet answered is forgotten too", () => {
  const { held, turn } = bench();
  const log: string[] = [];
  const group = {};
  const forgets = Array.from({ length: 100 }, () => held.hold(group, request({ log }), 1_000)!);
  held.progress(group);
  turn();
  forgets.forEach((forget) => forget());
  turn();
  assert.equal(log.length, 32);
});

test("limits count requests in all, per address and per session", () => {
  const { held } = bench({ total: 4, perAddress: 3, perSession: 2 });
  const group = {};
  const hold = (address: string, session: string) => held.hold(group, request({ address, session }), 1_000);
  assert.ok(hold("a", "s") && hold("a", "s"));
  assert.equal(hold("a", "s"), undefined);
  const third = hold("a", "t");
  assert.ok(third);
  assert.equal(hold("a", "u"), undefined);
  assert.ok(hold("b", "u"));
  assert.equal(hold("c", "v"), undefined);
  third();
  assert.ok(hold("c", "v"));
});
