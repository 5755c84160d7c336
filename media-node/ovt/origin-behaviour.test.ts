import assert from "node:assert/strict";
import { test } from "node:test";
import { NoSuchStream } from "../core/source.ts";
import type { StreamRequest } from "../core/stream-hub.ts";
import type { Track } from "../core/track.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { validateOriginBytes } from "../../test/support/ovt-edge-validator.ts";
import { fromHex, ovtVectors } from "../../test/support/ovt-fixtures.ts";
import {
  audioSample,
  FedSource,
  openTestNode,
  until,
  videoSample,
  type TestNode,
  type TestNodeOptions,
} from "../../test/support/ovt-kit.ts";
import { requestBytes, ScriptedEdge } from "../../test/support/scripted-edge.ts";
import { MemoryLogger } from "../../test/support/webrtc-room.ts";
import { signLinkToken } from "./link-token.ts";

const cam = { vhost: "default", app: "app", stream: "cam" };

/** An origin with a live stream of `frames` video frames and as many of audio. */
async function openLive(frames = 45, options: TestNodeOptions = {}): Promise<{ origin: TestNode; fed: FedSource }> {
  const fed = new FedSource();
  const origin = openTestNode("origin", { fed: { cam: fed }, ...options });
  const held = await origin.hub.acquire(cam, { protocol: "llhls" });
  assert.equal(held.kind, "stream");
  feed(fed, 0, frames);
  return { origin, fed };
}

function feed(fed: FedSource, from: number, to: number): void {
  for (let i = from; i < to; i++) fed.push(videoSample(i), audioSample(i));
}

function withoutConfig(track: Track): Track {
  const { decoderConfig, ...rest } = track;
  assert.ok(decoderConfig);
  return rest;
}

test("describes a live stream so that an OvenMediaEngine edge starts at once", async () => {
  const { origin } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("describe");
  await edge.ask("play");
  await until(() => edge.trace.media.length >= 30, "the burst");
  const requests = [
    { id: 1, application: "describe" },
    { id: 2, application: "play" },
  ];
  validateOriginBytes(edge.bytes, { requests });
  edge.close();
  await origin.close();
});

test("answers 202 after 1.2 s when the stream is still being opened", async () => {
  const clock = new ManualClock();
  const never = new FedSource();
  const origin = openTestNode("origin", { clock, fed: { cam: never } });
  let give: (() => void) | undefined;
  const slow = Object.assign(never, {
    open: () => new Promise<never>((_, reject) => (give = () => reject(new NoSuchStream("late")))),
  });
  assert.ok(slow);
  const edge = new ScriptedEdge(origin.publisher);
  edge.write(requestBytes({ application: "describe", id: 1, target: edge.target }));
  await until(() => give !== undefined, "the pull began");
  clock.advance(1_199);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(edge.bytes.length, 0);
  clock.advance(1);
  await until(() => edge.trace.messages.length === 1, "an answer");
  assert.equal(edge.trace.messages[0]!["code"], 202);
  give!();
  edge.close();
  await origin.close();
});

test("answers 202 while the description lacks a decoder configuration, and 200 once it has one", async () => {
  const clock = new ManualClock();
  const fed = new FedSource();
  const whole = fed.description;
  const bare = { ...whole, tracks: whole.tracks.map(withoutConfig) };
  const unready = new FedSource(bare);
  const origin = openTestNode("origin", { clock, fed: { cam: unready } });
  const edge = new ScriptedEdge(origin.publisher);
  edge.write(requestBytes({ application: "describe", id: 1, target: edge.target }));
  await until(() => origin.hub.find(cam) !== undefined, "the pull");
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1_200);
  await until(() => edge.trace.messages.length === 1, "an answer");
  assert.equal(edge.trace.messages[0]!["code"], 202);
  const second = edge.ask("describe");
  await new Promise((resolve) => setImmediate(resolve));
  unready.describe(whole);
  assert.equal((await second)["code"], 200);
  edge.close();
  await origin.close();
});

test("an unknown stream is 404, and the connection can ask again", async () => {
  const { origin } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  const missing = await edge.ask("describe", { target: "ovt://origin:9000/app/none" });
  assert.deepEqual([missing["code"], missing["application"], missing["id"]], [404, "describe", 1]);
  assert.equal(missing["message"], "There is no such stream (#default#app/none)");
  assert.equal((await edge.ask("describe"))["code"], 200);
  edge.close();
  await origin.close();
});

test("plays without a describe", async () => {
  const { origin } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  assert.equal((await edge.ask("play"))["code"], 200);
  await until(() => edge.trace.media.length > 0, "media");
  edge.close();
  await origin.close();
});

test("an origin that was started again, and one that stands in for it, describe the tracks with the same ids", async () => {
  const described: string[] = [];
  for (let i = 0; i < 2; i++) {
    const { origin } = await openLive();
    const edge = new ScriptedEdge(origin.publisher);
    const { contents } = JSON.parse(JSON.stringify(await edge.ask("describe")));
    described.push(JSON.stringify(contents.stream.tracks));
    edge.close();
    await origin.close();
  }
  assert.equal(described[0], described[1]);
  assert.match(described[0]!, /"id":0.*"id":1/);
});

test("play is granted to an OvenMediaEngine edge when media can follow at once, and refused by a silent stream", async () => {
  const clock = new ManualClock();
  const { origin, fed } = await openLive(0, { clock });
  const edge = new ScriptedEdge(origin.publisher);
  const playing = edge.ask("play");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(edge.bytes.length, 0, "nothing is kept that could be sent");
  fed.push(videoSample(0));
  assert.equal((await playing)["code"], 200);
  await until(() => edge.trace.media.length === 1, "the sample it waited for");
  const silent = new FedSource();
  const other = openTestNode("other", { clock, fed: { cam: silent } });
  const refused = new ScriptedEdge(other.publisher);
  const answer = refused.ask("play");
  await until(() => other.hub.find(cam) !== undefined, "the pull");
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1_200);
  assert.equal((await answer)["code"], 404);
  const hearth = new ScriptedEdge(other.publisher);
  assert.equal((await hearth.ask("play", { x_hearth: { nodeId: "edge", via: [], recentMs: 0 } }))["code"], 200);
  for (const each of [edge, refused, hearth]) each.close();
  await origin.close();
  await other.close();
});

test("sends the answer to play first, then a burst from the last key frame, then what follows", async () => {
  const { origin, fed } = await openLive(45);
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play");
  feed(fed, 45, 50);
  await until(() => edge.trace.media.length >= 40, "burst and live");
  const { packets, media, messages } = edge.trace;
  assert.equal(packets[0]!.payloadType, 20);
  assert.equal(messages.length, 1);
  assert.deepEqual([media[0]!.mediaType, media[0]!.flag, Number(media[0]!.pts)], [0, 2, 30 * 3000]);
  const video = media.filter(({ mediaType }) => mediaType === 0).map(({ pts }) => Number(pts) / 3000);
  assert.deepEqual(
    video,
    Array.from({ length: 20 }, (_, i) => 30 + i),
  );
  edge.close();
  await origin.close();
});

test("a Hearth edge gets as much recent media as it asks for", async () => {
  const { origin } = await openLive(120);
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play", { x_hearth: { nodeId: "edge", via: ["edge"], recentMs: 2_500 } });
  await until(() => edge.trace.media.length >= 120, "the burst");
  assert.equal(Number(edge.trace.media[0]!.pts), 30 * 3000);
  edge.close();
  await origin.close();
});

test("a second play is refused and the first session goes on", async () => {
  const { origin, fed } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play");
  assert.equal((await edge.ask("play"))["code"], 404);
  const before = edge.trace.media.length;
  feed(fed, 45, 46);
  await until(() => edge.trace.media.length >= before + 2, "media goes on");
  assert.equal(origin.publisher.stats.sessionsLive, 1);
  edge.close();
  await origin.close();
});

test("stop is answered, then the connection ends and nothing follows", async () => {
  const { origin, fed } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play");
  assert.equal((await edge.ask("stop"))["code"], 200);
  feed(fed, 45, 60);
  await until(() => edge.isEnded, "FIN");
  const { packets, rest } = edge.trace;
  assert.equal(rest, 0);
  assert.equal(packets.at(-1)!.payloadType, 20);
  assert.equal(origin.publisher.stats.sessionsLive, 0);
  edge.close();
  await origin.close();
});

test("stop without a session is answered and the connection stays", async () => {
  const { origin } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  assert.equal((await edge.ask("stop"))["code"], 200);
  assert.equal((await edge.ask("describe"))["code"], 200);
  edge.close();
  await origin.close();
});

test("an edge that stops reading costs bounded memory and is dropped; the others are not disturbed", async () => {
  const clock = new ManualClock();
  const maxQueueBytes = 1024 * 1024;
  const { origin, fed } = await openLive(30, { clock, publisher: { maxQueueBytes } });
  const stuck = new ScriptedEdge(origin.publisher, { isReading: false });
  const good = new ScriptedEdge(origin.publisher);
  stuck.write(requestBytes({ application: "play", id: 1, target: stuck.target }));
  await good.ask("play");
  await until(() => origin.publisher.stats.sessionsLive === 2, "two sessions");
  const sizes: number[] = [];
  for (let i = 30; i < 330; i++) {
    fed.push(videoSample(i, 20_000));
    clock.advance(33);
    await new Promise((resolve) => setImmediate(resolve));
    sizes.push(origin.publisher.queuedBytes);
  }
  assert.ok(
    Math.max(...sizes) <= maxQueueBytes + 256 * 1024 + 2 * 21_000,
    `at most ${Math.max(...sizes)} bytes waited`,
  );
  assert.ok(origin.publisher.stats.samplesDropped > 100);
  clock.advance(1_000);
  await until(() => stuck.isClosed, "the stuck edge is dropped");
  assert.equal(origin.publisher.stats.faults["OVT_STALLED"], 1);
  const video = good.trace.media.filter(({ mediaType }) => mediaType === 0).map(({ pts }) => Number(pts) / 3000);
  assert.deepEqual(
    video,
    Array.from({ length: 330 }, (_, i) => i),
  );
  good.close();
  await origin.close();
});

test("the end of the source ends sessions on the border of a sample", async () => {
  const { origin, fed } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play");
  fed.push(videoSample(45, 100_000));
  fed.end();
  await until(() => edge.isEnded, "FIN");
  const { packets, rest, media } = edge.trace;
  assert.equal(rest, 0);
  assert.equal(packets.at(-1)!.firstByte, 0x60);
  assert.equal(Number(media.at(-1)!.pts), 45 * 3000);
  edge.close();
  await origin.close();
});

test("new tracks end sessions on the border of a sample, since nobody could tell the edge; new parameter sets do not", async () => {
  const { origin, fed } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  await edge.ask("play");
  const [video, audio] = fed.description.tracks;
  const changed = { ...video!, decoderConfig: Uint8Array.of(...video!.decoderConfig!.slice(0, -1), 0x81) };
  fed.describe({ ...fed.description, tracks: [changed, audio!] });
  fed.push(videoSample(60));
  await until(() => Number(edge.trace.media.at(-1)?.pts) === 60 * 3000, "the session goes on");
  assert.equal(edge.isEnded, false);
  fed.describe({ ...fed.description, tracks: [video!] });
  await until(() => edge.isEnded, "FIN");
  assert.equal(edge.trace.rest, 0);
  const again = new ScriptedEdge(origin.publisher);
  const { contents } = JSON.parse(JSON.stringify(await again.ask("describe")));
  assert.equal(contents.stream.tracks.length, 1);
  edge.close();
  again.close();
  await origin.close();
});

test("requests may come byte by byte, or two in one read", async () => {
  const { origin } = await openLive();
  const edge = new ScriptedEdge(origin.publisher);
  for (const byte of requestBytes({ application: "describe", id: 1, target: edge.target })) edge.write(Buffer.of(byte));
  await until(() => edge.trace.messages.length === 1, "the answer");
  const both = ["describe", "play"].map((application, i) =>
    requestBytes({ application, id: 2 + i, target: edge.target }),
  );
  edge.write(Buffer.concat(both));
  await until(() => edge.trace.media.length > 0, "media");
  assert.deepEqual(
    edge.trace.messages.map((message) => [message["application"], message["id"], message["code"]]),
    [
      ["describe", 1, 200],
      ["describe", 2, 200],
      ["play", 3, 200],
    ],
  );
  edge.close();
  await origin.close();
});

test("bad packets end the connection and nothing else", async () => {
  const { origin } = await openLive();
  const media = fromHex("601e00140000000000000001000000370001aa");
  const bad = Object.entries(ovtVectors.negative).filter(([name]) => !/N09|N12|N14/.test(name));
  for (const [name, bytes] of [...bad.map(([name, hex]) => [name, fromHex(hex)] as const), ["media", media] as const]) {
    const edge = new ScriptedEdge(origin.publisher);
    edge.write(bytes);
    await until(() => edge.isClosed || edge.isEnded, `${name} ends the connection`);
    edge.close();
  }
  for (const name of ["N09-unknown-payload-type-99", "N12-id-is-string", "N14-payload-type-0"]) {
    const edge = new ScriptedEdge(origin.publisher);
    edge.write(fromHex(ovtVectors.negative[name]!));
    if (name.startsWith("N12")) await until(() => edge.trace.messages.length === 1, "404");
    const before = edge.trace.messages.length;
    assert.equal((await edge.ask("describe"))["code"], 200, name);
    assert.equal(before, name.startsWith("N12") ? 1 : 0);
    edge.close();
  }
  await origin.close();
});

test("10,000 connections that say nothing, or only half of a request, are let go", async () => {
  const clock = new ManualClock();
  const { origin } = await openLive(30, { clock, publisher: { maxIdle: 10_000 } });
  const half = requestBytes({ application: "play", id: 1, target: "ovt://origin:9000/app/cam" }).subarray(0, 40);
  const edges = Array.from({ length: 10_000 }, (_, i) => {
    const edge = new ScriptedEdge(origin.publisher, { remote: `10.0.${i >> 8}.${i & 255}` });
    if (i % 2 === 0) edge.write(half);
    return edge;
  });
  assert.equal(origin.publisher.stats.connectionsLive, 10_000);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(5_250);
  await until(() => origin.publisher.stats.connectionsLive === 0, "all are gone");
  assert.ok(edges.every((edge) => edge.bytes.length === 0));
  await origin.close();
});

test("one address may not hold more than its share of connections without a session", async () => {
  const { origin } = await openLive(30, { publisher: { maxIdlePerAddress: 3 } });
  const playing = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const edge = new ScriptedEdge(origin.publisher);
      await edge.ask("play");
      return edge;
    }).slice(0, 3),
  );
  const edges = Array.from({ length: 5 }, () => new ScriptedEdge(origin.publisher));
  assert.ok(origin.publisher.stats.connectionsRefused >= 2);
  for (const edge of [...playing, ...edges]) edge.close();
  await origin.close();
});

test("a flood of connections that say nothing pushes out its oldest, not the sessions", async () => {
  const { origin } = await openLive(30, { publisher: { maxIdle: 100 } });
  const playing = new ScriptedEdge(origin.publisher);
  await playing.ask("play");
  const flood = Array.from({ length: 300 }, (_, i) => new ScriptedEdge(origin.publisher, { remote: `10.0.1.${i}` }));
  await until(() => origin.publisher.stats.connectionsLive === 101, "the oldest are gone");
  await until(() => flood[0]!.isClosed, "the oldest sees it");
  assert.ok(!flood[299]!.isClosed && !playing.isClosed);
  for (const edge of [playing, ...flood]) edge.close();
  await origin.close();
});

test("after a refused play the connection ends when nothing follows", async () => {
  const clock = new ManualClock();
  const { origin } = await openLive(30, { clock });
  const edge = new ScriptedEdge(origin.publisher);
  assert.equal((await edge.ask("play", { target: "ovt://origin:9000/app/none" }))["code"], 404);
  clock.advance(9_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(edge.isClosed, false);
  clock.advance(1_500);
  await until(() => edge.isClosed, "the connection is let go");
  await origin.close();
});

test("a host of no virtual host is 404; names are not decoded; the query reaches the plan without its token", async () => {
  const asked: [string, string | undefined][] = [];
  const onPlan = ({ stream }: { stream: string }, { rawQuery }: StreamRequest): void =>
    void asked.push([stream, rawQuery]);
  const logger = new MemoryLogger();
  const fed = { cam: new FedSource(), "s%20b": new FedSource() };
  const { origin } = await openLive(30, { fed, onPlan, publisher: { logger } });
  const edge = new ScriptedEdge(origin.publisher);
  const strange = await edge.ask("describe", { target: "ovt://elsewhere:9000/app/cam" });
  assert.deepEqual([strange["code"], strange["message"]], [404, "There is no such stream (##app/cam)"]);
  assert.deepEqual(
    logger.lines.map(({ level, fields }) => [level, fields["host"]]),
    [["warn", "elsewhere"]],
  );
  const target = "ovt://origin:9000/app/s%20b?a=1&key=first&b=2&key=second";
  assert.equal((await edge.ask("describe", { target }))["code"], 200);
  assert.deepEqual(asked.at(-1), ["s%20b", "a=1&b=2"]);
  edge.close();
  await origin.close();
});

test("with a secret, a peer without a token gets no byte and learns no name", async () => {
  const { origin } = await openLive(30, { publisher: { secrets: ["s3cret"], trustedPeers: ["198.51.100.0/24"] } });
  const strangers = ["ovt://origin:9000/app/cam", "ovt://origin:9000/app/none", "ovt://origin:9000/app/cam?key=1.*.x"];
  for (const target of strangers) {
    for (const application of ["describe", "play", "stop", "nonsense"]) {
      const edge = new ScriptedEdge(origin.publisher, { target });
      edge.write(requestBytes({ application, id: 1, target }));
      await until(() => edge.isClosed, "the connection is dropped");
      assert.equal(edge.bytes.length, 0);
    }
  }
  const garbage = new ScriptedEdge(origin.publisher);
  garbage.write(fromHex(ovtVectors.negative["N11-json-truncated"]!));
  await until(() => garbage.isClosed, "the connection is dropped");
  assert.equal(garbage.bytes.length, 0);
  const known = new ScriptedEdge(origin.publisher, { remote: "::ffff:198.51.100.7" });
  assert.equal((await known.ask("describe"))["code"], 200);
  known.close();
  await origin.close();
});

test("the first token of a query counts, whatever a viewer appended", async () => {
  const { origin } = await openLive(30, { publisher: { secrets: ["new", "s3cret"] } });
  const good = signLinkToken("s3cret", { scope: "app/*", expiresMs: Date.now() + 60_000 });
  const bad = signLinkToken("other", { scope: "app/*", expiresMs: Date.now() + 60_000 });
  const first = new ScriptedEdge(origin.publisher, { target: `ovt://origin:9000/app/cam?key=${good}&key=${bad}` });
  assert.equal((await first.ask("play"))["code"], 200);
  const last = new ScriptedEdge(origin.publisher, { target: `ovt://origin:9000/app/cam?key=${bad}&key=${good}` });
  await last.ask("play");
  assert.equal(last.bytes.length, 0);
  first.close();
  last.close();
  await origin.close();
});
