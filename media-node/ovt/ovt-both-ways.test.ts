import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { serializeCueSample } from "../codecs/webvtt.ts";
import { hvcConfigOf, serializeHvcConfig } from "../codecs/h265.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { fromHex } from "../../test/support/ovt-fixtures.ts";
import { ScriptedEdge } from "../../test/support/scripted-edge.ts";
import {
  audioSample,
  avDescription,
  FedSource,
  openTestNode,
  portOf,
  until,
  videoSample,
} from "../../test/support/ovt-kit.ts";

const name = { vhost: "default", app: "app", stream: "cam" };

test("an edge pulls a stream over TCP with its time, identity and samples unchanged", async () => {
  const fed = new FedSource();
  const origin = openTestNode("origin", { fed: { cam: fed } });
  const server = createServer((socket) => origin.publisher.accept(socket, "127.0.0.1")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  const dial = async (host: string, port: number): Promise<Duplex> => {
    const socket = connect(port, host);
    await once(socket, "connect");
    return socket;
  };
  const edge = openTestNode("edge", { dial, rules: { "app/cam": [`ovt://127.0.0.1:${port}/app/cam`] } });
  try {
    const held = await origin.hub.acquire(name, { protocol: "llhls" });
    assert.equal(held.kind, "stream");
    for (let i = 0; i < 60; i++) fed.push(videoSample(i), audioSample(i));
    const result = await edge.hub.acquire(name, { protocol: "llhls" });
    assert.ok(result.kind === "stream");
    const { stream } = result.hold;
    const got: Sample[] = [];
    stream.addReader({ onSample: (sample) => got.push(sample), onEnd() {} });
    got.unshift(...stream.recentSamples(60_000));
    for (let i = 60; i < 90; i++) fed.push(videoSample(i), audioSample(i));
    await until(() => got.length >= 180, "all samples came");
    assert.deepEqual(
      got.map((sample) => ({ ...sample, data: Buffer.from(sample.data) })),
      Array.from({ length: 90 }, (_, i) => [videoSample(i), audioSample(i)])
        .flat()
        .map((sample) => ({ ...sample, data: Buffer.from(sample.data) })),
    );
    const { description } = stream;
    assert.equal(description.epochMs, avDescription.epochMs);
    assert.equal(description.isEpochShared, true);
    assert.equal(description.originId, "camera-1");
    assert.deepEqual(description.path, ["origin"]);
    assert.deepEqual(description.playlists, avDescription.playlists);
    assert.equal(description.tracks[0]!.video!.framerate, 30);
    assert.ok(description.tracks[0]!.bitrate > 0);
    assert.equal(origin.publisher.stats.connectionsOpened, 1);
    assert.equal(origin.publisher.stats.sessionsLive, 1);
  } finally {
    await edge.close();
    await origin.close();
    server.close();
  }
  assert.equal(origin.publisher.stats.connectionsLive, 0);
  assert.equal(origin.publisher.stats.sessionsLive, 0);
});

const hevcRecord = serializeHvcConfig(
  hvcConfigOf(
    [fromHex("40010c01ffff01600000030090000003000003003fba0240")],
    [fromHex("42010101600000030090000003000003003fa005020171f2e5ba4a4c2f016808000003000800000300f040")],
    [fromHex("4401c073c189")],
  ),
).slice();

/** A track of every kind OVT carries, each with a sample. */
const everyTrack: readonly (readonly [Omit<Track, "id" | "name" | "bitrate">, Uint8Array])[] = [
  [{ kind: "video", codec: "h265", timescale: 90_000, decoderConfig: hevcRecord }, fromHex("0000000126018811")],
  [{ kind: "video", codec: "vp8", timescale: 90_000 }, fromHex("10020304")],
  [{ kind: "audio", codec: "opus", timescale: 48_000 }, fromHex("fc1122")],
  [{ kind: "audio", codec: "mp3", timescale: 48_000 }, fromHex("fffb9064")],
  [{ kind: "audio", codec: "pcmu", timescale: 48_000 }, fromHex("ff7f01")],
  [{ kind: "audio", codec: "pcma", timescale: 48_000 }, fromHex("d5552a")],
  [{ kind: "data", codec: "data", timescale: 1_000 }, Buffer.from("ID3 and what follows")],
  [{ kind: "data", codec: "data", timescale: 1_000 }, fromHex("fc3025")],
  [{ kind: "data", codec: "data", timescale: 1_000 }, fromHex("000102")],
  [{ kind: "video", codec: "av1", timescale: 90_000 }, fromHex("0a0b00000024cf7f0dbffffc64 320200ff".replace(" ", ""))],
  [{ kind: "video", codec: "vp9", timescale: 90_000 }, fromHex("824983420009f0077600")],
  [
    {
      kind: "subtitle",
      codec: "webvtt",
      timescale: 1_000,
      language: "de",
      subtitle: {
        label: "Deutsch",
        isDefault: true,
        isAutoSelect: false,
        isForced: true,
        exceptPlaylists: ["small"],
      },
    },
    serializeCueSample({ settings: "line:80%", text: "Grüße" }),
  ],
];

test("every codec, data and subtitles pass between Hearth nodes; others are spared data and subtitles unless asked for", async () => {
  const tracks = everyTrack.map(([track], id) => {
    const video = { width: 640, height: 360, framerate: 30 };
    const audio = { sampleRate: 48_000, channels: 2 };
    const format = track.kind === "video" ? { video } : track.kind === "audio" ? { audio } : {};
    return { ...track, ...format, id, name: `track ${id}`, bitrate: 1_000 };
  });
  const samples = everyTrack.map(([, data], trackId): Sample => {
    return { trackId, pts: trackId * 7 - 20, dts: trackId * 7 - 20, duration: 5, isKeyframe: true, data };
  });
  const fed = new FedSource({ ...avDescription, tracks, playlists: [] });
  const origin = openTestNode("origin", { fed: { cam: fed } });
  const generous = openTestNode("generous", { fed: { cam: fed }, publisher: { sendsDataToOthers: true } });
  const edge = openTestNode("edge", { peers: () => ({ origin }), rules: { "app/cam": ["ovt://origin:9000/app/cam"] } });
  const result = await edge.hub.acquire(name, { protocol: "whep" });
  assert.ok(result.kind === "stream");
  const got: Sample[] = [];
  result.hold.stream.addReader({ onSample: (sample) => got.push(sample), onEnd() {} });
  const other = new ScriptedEdge(origin.publisher);
  const playing = other.ask("play");
  await new Promise((resolve) => setImmediate(resolve));
  fed.push(...samples);
  await playing;
  await until(() => got.length === samples.length, "all samples");
  const expected = samples.map(({ data, ...times }) => ({ ...times, data: Buffer.from(data) }));
  // Parameter sets go in front of a key frame that lacks them.
  const sets = ["40010c", "420101", "4401c0"].every((start) =>
    Buffer.from(got[0]!.data).toString("hex").includes(start),
  );
  assert.ok(sets && Buffer.from(got[0]!.data).toString("hex").endsWith("0000000126018811"));
  expected[0] = { ...expected[0]!, data: Buffer.from(got[0]!.data) };
  assert.deepEqual(
    got.map(({ data, ...times }) => ({ ...times, data: Buffer.from(data) })),
    expected,
  );
  assert.deepEqual(
    result.hold.stream.description.tracks.map(({ id, kind, codec, language, subtitle }) => [
      id,
      kind,
      codec,
      language,
      subtitle,
    ]),
    tracks.map(({ id, kind, codec, language, subtitle }) => [id, kind, codec, language, subtitle]),
  );
  await until(() => other.trace.media.length === 4, "video and audio");
  assert.deepEqual(
    other.trace.media.map(({ trackId }) => trackId),
    [0, 1, 2, 3],
    "nothing of codecs that OvenMediaEngine has no format for",
  );
  const eager = new ScriptedEdge(generous.publisher);
  const eagerlyPlaying = eager.ask("play");
  await until(() => generous.hub.find(name) !== undefined, "the pull");
  await new Promise((resolve) => setImmediate(resolve));
  fed.push(...samples.map((sample) => ({ ...sample, dts: sample.dts + 100, pts: sample.pts + 100 })));
  await eagerlyPlaying;
  await until(() => eager.trace.media.length === 8, "everything");
  assert.deepEqual(
    eager.trace.media.slice(4).map(({ mediaType, flag, bitstreamFormat }) => [mediaType, flag, bitstreamFormat]),
    [
      [2, 1, 18],
      [2, 1, 23],
      [2, 1, 20],
      [3, 1, 24],
    ],
  );
  for (const closing of [other, eager, edge, origin, generous]) await closing.close();
});

test("an unknown stream is a normal answer", async () => {
  const origin = openTestNode("origin");
  const edge = openTestNode("edge", {
    peers: () => ({ origin }),
    rules: { "app/none": ["ovt://origin:9000/app/none"] },
  });
  const result = await edge.hub.acquire({ ...name, stream: "none" }, { protocol: "whep" });
  assert.equal(result.kind, "not-found");
  await edge.close();
  await origin.close();
});

test("a pull in a circle is refused at once", async () => {
  const nodes: Record<string, ReturnType<typeof openTestNode>> = {};
  const rule = (to: string) => ({ "app/loop": [`ovt://${to}:9000/app/loop`] });
  for (const [id, to] of [
    ["a", "b"],
    ["b", "c"],
    ["c", "a"],
  ] as const) {
    nodes[id] = openTestNode(id, { peers: () => nodes, rules: rule(to) });
  }
  const result = await nodes["a"]!.hub.acquire({ ...name, stream: "loop" }, { protocol: "whep" });
  assert.equal(result.kind, "not-found");
  assert.equal(nodes["a"]!.publisher.stats.connectionsOpened, 1);
  for (const node of Object.values(nodes)) await node.close();
});

test("a chain of more than eight nodes is a mistake", async () => {
  const origin = openTestNode("origin", { fed: { cam: new FedSource() } });
  const edge = new ScriptedEdge(origin.publisher);
  const via = Array.from({ length: 9 }, (_, i) => `node-${i}`);
  const ask = (length: number) =>
    edge.ask("describe", { x_hearth: { nodeId: "edge", via: via.slice(0, length), recentMs: 0 } });
  assert.equal((await ask(8))["code"], 200);
  assert.equal((await ask(9))["code"], 404);
  edge.close();
  await origin.close();
});
