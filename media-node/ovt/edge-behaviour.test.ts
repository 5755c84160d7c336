import assert from "node:assert/strict";
import { test } from "node:test";
import { serializeAdtsHeader } from "../codecs/aac.ts";
import { joinAnnexB } from "../codecs/annex-b.ts";
import { avcConfigOf, serializeAvcConfig } from "../codecs/h264.ts";
import type { Codec } from "../codecs/codec.ts";
import type { Sample } from "../core/sample.ts";
import { NoSuchStream, type Source } from "../core/source.ts";
import type { StreamDescription } from "../core/stream.ts";
import { silentLogger } from "../flow/logger.ts";
import { systemClock, type Clock } from "../time/clock.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { fromHex, ovtVectors } from "../../test/support/ovt-fixtures.ts";
import { avDescription, openTestNode, pps, sps, until } from "../../test/support/ovt-kit.ts";
import {
  contentsOf,
  mediaBytes,
  messageBytes,
  packets,
  ScriptedOrigin,
  wellBehaved,
  wireTrack,
  type Script,
} from "../../test/support/scripted-origin.ts";
import { openOvtSource } from "./ovt-source.ts";

const avcc = Buffer.from(avDescription.tracks[0]!.decoderConfig!).toString("base64");
const asc = Buffer.from(avDescription.tracks[1]!.decoderConfig!).toString("base64");
const h264Track = wireTrack(0, 0, 1, { decoderConfig: avcc });
const aacTrack = wireTrack(1, 1, 7, { decoderConfig: asc });
const keyFrame = joinAnnexB([sps, pps, Uint8Array.of(0x65, 0x88, 0x84)]);
const deltaFrame = joinAnnexB([Uint8Array.of(0x41, 0x9a, 0x02)]);
const aacConfig = { objectType: 2, sampleRate: 48_000, channels: 2 };
const adts = (...bytes: number[]): Buffer =>
  Buffer.concat([serializeAdtsHeader(aacConfig, bytes.length), Buffer.from(bytes)]);
const aFrame = mediaBytes({ track: 1, pts: 48_000, mediaType: 1, flag: 2, format: 10, data: adts(1, 2, 3) });
const key = (pts: number): Buffer => mediaBytes({ track: 0, pts, mediaType: 0, flag: 2, format: 1, data: keyFrame });
const delta = (pts: number): Buffer =>
  mediaBytes({ track: 0, pts, mediaType: 0, flag: 1, format: 1, data: deltaFrame });

function open(
  origin: ScriptedOrigin,
  clock: Clock = systemClock,
  signal = new AbortController().signal,
): Promise<Source> {
  const opener = openOvtSource({ dial: origin.dial, clock, logger: silentLogger, nodeId: "edge" });
  return opener("ovt://origin:9000/app/cam", { signal });
}

interface Received {
  readonly source: Source;
  readonly samples: Sample[];
  readonly descriptions: StreamDescription[];
  readonly ends: string[];
}

async function receive(script: Script, clock?: Clock): Promise<Received & { origin: ScriptedOrigin }> {
  const origin = new ScriptedOrigin(script);
  const source = await open(origin, clock);
  const received: Received = { source, samples: [], descriptions: [], ends: [] };
  source.start({
    onSample: (sample) => received.samples.push(sample),
    onDescription: (description) => received.descriptions.push(description),
    onEnd: ({ code }) => received.ends.push(code),
  });
  return { ...received, origin };
}

const vectorBytes = (name: string): Buffer => {
  const vector = ovtVectors.vectors[name];
  assert.ok(vector && "packets" in vector);
  return Buffer.concat(vector.packets.map(fromHex));
};

test("takes the vectors in sequence, and samples cut into pieces of any size", async () => {
  const names = [
    "T10-h264-key",
    "T11-h264-delta",
    "T12-aac-adts",
    "T14-relayed-hop-packet-type-0",
    "T17-empty-payload",
  ];
  const big = joinAnnexB([Uint8Array.of(0x41), new Uint8Array(70_000).fill(7)]);
  const cut = [1, 20, 1298, 32_750].map((piece, i) => {
    return mediaBytes({ track: 0, pts: 3000 + i, mediaType: 0, format: 1, data: big }, piece);
  });
  const media = Buffer.concat([...names.map(vectorBytes), ...cut]);
  const track = { ...aacTrack, timebaseDen: 44_100, decoderConfig: "EhA=" };
  const { samples, source } = await receive(wellBehaved(contentsOf([h264Track, track]), media));
  await until(() => samples.length === 8, "all samples");
  assert.deepEqual(
    samples.map(({ trackId, pts, dts, isKeyframe }) => [trackId, pts, dts, isKeyframe]),
    [
      [0, 1000, 967, true],
      [0, 1033, 1000, false],
      [1, 44_100, 44_100, true],
      [0, 2000, 2000, false],
      ...[3000, 3001, 3002, 3003].map((pts) => [0, pts, pts, false]),
    ],
  );
  for (const { data } of samples.slice(4)) assert.deepEqual(Buffer.from(data), Buffer.from(big));
  await source.close({ code: "done" });
});

test("media in the same read as the answer to play is not lost", async () => {
  const { samples, source } = await receive(
    wellBehaved(contentsOf([h264Track, aacTrack]), Buffer.concat([key(1), aFrame])),
  );
  await until(() => samples.length === 2, "both samples");
  await source.close({ code: "done" });
});

test("a message between the pieces of a sample is told to the log, and the sample is whole", async () => {
  const cut = packets(30, mediaBytes({ track: 0, pts: 9, mediaType: 0, format: 1, data: keyFrame }).subarray(18), 20);
  const stray = messageBytes({ id: 7, application: "describe", code: 200, message: "late" });
  const media = Buffer.concat([key(1), cut.subarray(0, 38), stray, cut.subarray(38)]);
  const { samples, source, ends } = await receive(wellBehaved(contentsOf([h264Track]), media));
  await until(() => samples.length === 2, "both samples");
  assert.deepEqual(ends, []);
  await source.close({ code: "done" });
});

test("waits 5 s for an answer and no longer", async () => {
  for (const [afterMs, isOpened] of [
    [1_400, true],
    [4_000, true],
    [5_000, false],
  ] as const) {
    const clock = new ManualClock();
    let answer: (() => void) | undefined;
    const origin = new ScriptedOrigin((asked, connection) => {
      const script = wellBehaved(contentsOf([h264Track]), key(1));
      if (asked.application !== "describe") return script(asked, connection);
      answer = () => void connection.write(script(asked, connection)!);
      return undefined;
    });
    const opening = open(origin, clock);
    const outcome = isOpened ? opening : assert.rejects(opening, { code: "OVT_ANSWER_TIMEOUT" });
    await until(() => answer !== undefined, "describe");
    clock.advance(afterMs);
    answer!();
    const source = await outcome;
    await source?.close({ code: "done" });
    assert.equal(clock.pendingTimers, 0);
  }
});

const refusals: readonly [string, Record<string, unknown>, object][] = [
  ["404", { code: 404 }, NoSuchStream],
  ["202", { code: 202 }, { code: "OVT_NOT_READY" }],
  ["another id", { id: 99 }, { code: "OVT_WRONG_ANSWER" }],
  ["another application", { application: "play" }, { code: "OVT_WRONG_ANSWER" }],
  ["no contents", { contents: null }, { code: "OVT_DESCRIPTION" }],
  ["no version", { contents: { stream: contentsOf([h264Track])["stream"] } }, { code: "OVT_DESCRIPTION" }],
  ["no tracks", { contents: { version: 18, stream: {} } }, { code: "OVT_DESCRIPTION" }],
];

for (const [what, change, error] of refusals) {
  test(`an answer with ${what} is a failure`, async () => {
    const contents = contentsOf([h264Track]);
    const origin = new ScriptedOrigin(({ id, application }) =>
      messageBytes({ id, application, code: 200, message: "no", contents, ...change }),
    );
    await assert.rejects(open(origin), error);
    await until(() => origin.connection.destroyed, "the connection is closed");
    assert.equal(origin.asked.length, 1);
  });
}

test("an application in capitals is the same application", async () => {
  const script = wellBehaved(contentsOf([h264Track]), key(1));
  const { samples, source } = await receive((asked, connection) => {
    if (asked.application === "stop") return script(asked, connection);
    const answer = Buffer.from(script(asked, connection)!);
    return Buffer.from(
      answer.toString("latin1").replace(`"${asked.application}"`, `"${asked.application.toUpperCase()}"`),
      "latin1",
    );
  });
  await until(() => samples.length === 1, "a sample");
  await source.close({ code: "done" });
});

test("silence makes the pull go on with the next URL, a torn packet does not reach the next connection", async () => {
  const clock = new ManualClock();
  const torn = key(3_000_000).subarray(0, 40);
  const origins = ["a", "b", "c"].map((_, i) => {
    const times = [1, 2, 3].map((n) => 90_000 * (i + 1) + n * 3000);
    const media = Buffer.concat(times.map((pts, n) => (n === 0 ? key(pts) : delta(pts))));
    return new ScriptedOrigin(wellBehaved(contentsOf([h264Track]), i === 1 ? Buffer.concat([media, torn]) : media));
  });
  const node = openTestNode("edge", {
    clock,
    dial: (host) => origins["abc".indexOf(host)]!.dial(),
    rules: { "app/cam": ["a", "b", "c"].map((host) => `ovt://${host}:9000/app/cam`) },
    plan: { noInputTimeoutMs: 3_000, retryCount: 10 },
  });
  const result = await node.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "whep" });
  assert.ok(result.kind === "stream");
  const samples: Sample[] = [...result.hold.stream.recentSamples(60_000)];
  result.hold.stream.addReader({ onSample: (sample) => samples.push(sample), onEnd() {} });
  await until(() => samples.length === 3, "the first origin's samples");
  clock.advance(3_250);
  await until(() => samples.length === 6, "the second origin's samples");
  origins[1]!.connection.end();
  await until(() => origins[2]!.connections.length === 1, "the third origin is asked");
  await until(() => samples.length === 9, "the third origin's samples");
  const times = samples.map(({ dts }) => dts);
  assert.deepEqual(
    times,
    [...new Set(times)].sort((a, b) => a - b),
  );
  assert.deepEqual(
    origins.map(({ connections }) => connections.length),
    [1, 1, 1],
  );
  await node.close();
});

const generations: readonly [string, readonly [Codec, number, number, number, Uint8Array][]][] = [
  [
    "g1",
    [
      ["h265", 0, 2, 3, fromHex("00000001260188")],
      ["vp8", 0, 3, 4, Uint8Array.of(0x10, 2)],
      ["aac", 1, 6, 8, adts(1)],
      ["mp3", 1, 7, 16, Uint8Array.of(0xff, 0xfb)],
      ["opus", 1, 8, 10, Uint8Array.of(0xfc)],
    ],
  ],
  [
    "g2",
    [
      ["h265", 0, 2, 4, fromHex("00000001260188")],
      ["vp8", 0, 3, 5, Uint8Array.of(0x10, 2)],
      ["aac", 1, 6, 9, adts(1)],
      ["mp3", 1, 7, 13, Uint8Array.of(0xff, 0xfb)],
      ["opus", 1, 8, 11, Uint8Array.of(0xfc)],
    ],
  ],
  [
    "g3",
    [
      ["h265", 0, 2, 4, fromHex("00000001260188")],
      ["vp8", 0, 3, 6, Uint8Array.of(0x10, 2)],
      ["aac", 1, 7, 10, adts(1)],
      ["mp3", 1, 8, 14, Uint8Array.of(0xff, 0xfb)],
      ["opus", 1, 9, 12, Uint8Array.of(0xfc)],
    ],
  ],
];

for (const [generation, tracks] of generations) {
  test(`the numbers of ${generation} are told by the first packets`, async () => {
    const wire = tracks.map(([, mediaType, codecId], id) => wireTrack(id, mediaType, codecId));
    const packetsOf = ([, mediaType, , format, data]: (typeof tracks)[number], track: number): Buffer => {
      return mediaBytes({ track, pts: 1, mediaType, format, data });
    };
    const { source, samples } = await receive(wellBehaved(contentsOf(wire), Buffer.concat(tracks.map(packetsOf))));
    await until(() => samples.length === tracks.length, "a sample of each track");
    assert.deepEqual(
      source.description.tracks.map(({ codec }) => codec),
      tracks.map(([codec]) => codec),
    );
    await source.close({ code: "done" });
  });

  for (const [index, [codec, mediaType, codecId, format, data]] of tracks.entries()) {
    test(`the numbers of ${generation} are told by ${codec} beside H.264`, async () => {
      const wire = [h264Track, wireTrack(1, mediaType, codecId)];
      const media = Buffer.concat([key(1), delta(2), mediaBytes({ track: 1, pts: index, mediaType, format, data })]);
      const { source, samples } = await receive(wellBehaved(contentsOf(wire), media));
      await until(() => samples.length === 3, "all samples");
      assert.equal(source.description.tracks[1]!.codec, codec);
      await source.close({ code: "done" });
    });
  }
}

test("video is held back to its first key frame by NAL type, whatever the flags of audio say", async () => {
  const lying = mediaBytes({ track: 0, pts: 2, mediaType: 0, flag: 2, format: 1, data: deltaFrame });
  const silent = mediaBytes({ track: 0, pts: 5, mediaType: 0, flag: 0, format: 1, data: keyFrame });
  const media = Buffer.concat([delta(1), lying, aFrame, silent, delta(6)]);
  const { samples, source } = await receive(wellBehaved(contentsOf([h264Track, aacTrack]), media));
  await until(() => samples.length === 3, "what may pass");
  assert.deepEqual(
    samples.map(({ trackId, pts, isKeyframe }) => [trackId, pts, isKeyframe]),
    [
      [1, 48_000, true],
      [0, 5, true],
      [0, 6, false],
    ],
  );
  await source.close({ code: "done" });
});

test("playlists may be absent, null, or bare; unknown keys and floats are no harm", async () => {
  const bare = [
    { name: "a", fileName: "a" },
    { name: "b", fileName: "a", renditions: [] },
  ];
  for (const [playlists, count] of [
    [undefined, 0],
    [null, 0],
    [bare, 1],
  ] as const) {
    const track = {
      ...h264Track,
      novelty: { deep: [1] },
      videoTrack: { framerate: 29.97, width: 1280.0, height: 720 },
    };
    const { source } = await receive(wellBehaved(contentsOf([track], { playlists, other: 1 }), key(1)));
    assert.equal(source.description.playlists.length, count);
    assert.equal(source.description.tracks[0]!.video!.framerate, 29.97);
    await source.close({ code: "done" });
  }
});

test("a probe asks for the description and nothing more", async () => {
  const origin = new ScriptedOrigin(wellBehaved(contentsOf([h264Track]), key(1)));
  const opener = openOvtSource({ dial: origin.dial, clock: systemClock, logger: silentLogger, nodeId: "edge" });
  const source = await opener("ovt://origin:9000/app/cam", { signal: new AbortController().signal, isProbe: true });
  await source.close({ code: "probed" });
  assert.deepEqual(
    origin.asked.map(({ application }) => application),
    ["describe"],
  );
});

test("track ids that change with a new connection are described anew", async () => {
  const clock = new ManualClock();
  const origin = new ScriptedOrigin(wellBehaved(contentsOf([h264Track]), key(1)));
  const node = openTestNode("edge", {
    clock,
    dial: origin.dial,
    rules: { "app/cam": ["ovt://a:9000/app/cam"] },
    plan: { retryCount: 10 },
  });
  const result = await node.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "whep" });
  assert.ok(result.kind === "stream");
  const { stream } = result.hold;
  const moved = mediaBytes({ track: 5, pts: 9, mediaType: 0, flag: 2, format: 1, data: keyFrame });
  origin.script = wellBehaved(contentsOf([{ ...h264Track, id: 5 }]), moved);
  // The same URL is asked once a second.
  clock.advance(1_000);
  origin.connection.end();
  await until(() => stream.track(5) !== undefined, "the new description");
  assert.deepEqual(
    stream.description.tracks.map(({ id }) => id),
    [5],
  );
  await node.close();
});

test("the packet type never matters", async () => {
  const media = [0, 1, 3, 255].map((packetType, i) => {
    return mediaBytes({ track: 0, pts: i, mediaType: 0, flag: 2, format: 1, packetType, data: keyFrame });
  });
  const { samples, source } = await receive(wellBehaved(contentsOf([h264Track]), Buffer.concat(media)));
  await until(() => samples.length === 4, "four samples");
  await source.close({ code: "done" });
});

test("parameter sets learned in band are described before the key frame that needs them", async () => {
  const { samples, descriptions, source } = await receive(
    wellBehaved(
      contentsOf([wireTrack(0, 0, 1, { videoTrack: { framerate: 0, width: 0, height: 0 } })]),
      Buffer.concat([key(1), key(2)]),
    ),
  );
  await until(() => samples.length === 2, "both samples");
  assert.equal(descriptions.length, 1);
  const [track] = descriptions[0]!.tracks;
  assert.deepEqual(Buffer.from(track!.decoderConfig!), Buffer.from(avDescription.tracks[0]!.decoderConfig!));
  assert.deepEqual([track!.video!.width, track!.video!.height], [1280, 720]);
  await source.close({ code: "done" });
});

test("parameter sets that are repeated, or end in zeros in the record, are no news", async () => {
  const padded = serializeAvcConfig(avcConfigOf([Uint8Array.of(...sps, 0)], [pps]));
  const twice = joinAnnexB([sps, pps, sps, pps, Uint8Array.of(0x65, 0x88)]);
  const media = mediaBytes({ track: 0, pts: 1, mediaType: 0, flag: 2, format: 1, data: twice });
  const config = { decoderConfig: Buffer.from(padded).toString("base64") };
  const known = await receive(wellBehaved(contentsOf([wireTrack(0, 0, 1, config)]), media));
  await until(() => known.samples.length === 1, "the sample");
  assert.deepEqual(known.descriptions, []);
  await known.source.close({ code: "done" });
  const unknown = await receive(wellBehaved(contentsOf([wireTrack(0, 0, 1)]), media));
  await until(() => unknown.samples.length === 1, "the sample");
  assert.deepEqual(unknown.descriptions[0]!.tracks[0]!.decoderConfig, avDescription.tracks[0]!.decoderConfig);
  await unknown.source.close({ code: "done" });
});

test("an origin that does not know the host it was asked by gets its operator a hint", async () => {
  const refuse = (message: string): Script => {
    return ({ id, application }) => messageBytes({ id, application, code: 404, message });
  };
  const why = (message: string) =>
    open(new ScriptedOrigin(refuse(message))).then(() => assert.fail("it opens"), String);
  assert.match(await why("There is no such stream (##app/cam)"), /\(##app\/cam\): the host of the URL is not among/);
  assert.match(await why("There is no such stream (#v#app/cam)"), /\(#v#app\/cam\)$/);
});

test("an origin whose time jumps is asked anew; gaps, pauses and small steps back are borne", async () => {
  const day = 24 * 3_600 * 90_000;
  for (const [to, afterMs, isJump] of [
    [day, 40, true],
    [-day, 40, true],
    [-4 * 90_000, 40, true],
    [-2 * 90_000, 40, false],
    [9 * 90_000, 40, false],
    [3_600, 20_000, false],
    [25 * 90_000, 20_000, false],
  ] as const) {
    const clock = new ManualClock();
    const { ends, samples, origin, source } = await receive(wellBehaved(contentsOf([h264Track]), key(day)), clock);
    await until(() => samples.length === 1, "the first picture");
    clock.advance(afterMs);
    origin.connection.write(key(day + to));
    await until(() => samples.length + ends.length === 2, "the second one, or the end");
    assert.deepEqual(ends, isJump ? ["OVT_TIME_JUMP"] : [], `${to}`);
    const closed = source.close({ code: "done" });
    clock.advance(500);
    await closed;
  }
});

test("timestamps beyond what a number holds exactly end the connection", async () => {
  const { ends, origin, source } = await receive(wellBehaved(contentsOf([h264Track]), key(1)));
  const huge = key(1);
  huge.writeBigInt64BE(2n ** 53n, 18 + 4);
  origin.connection.write(huge);
  await until(() => ends.length === 1, "the end");
  assert.deepEqual(ends, ["OVT_TIMESTAMP"]);
  await source.close({ code: "done" });
});

test("a bad packet ends the source once, and closing it again is no harm", async () => {
  const { ends, origin, source } = await receive(wellBehaved(contentsOf([h264Track]), key(1)));
  origin.connection.write(Buffer.alloc(18, 0x15));
  await until(() => ends.length === 1, "the end");
  assert.deepEqual(ends, ["OVT_BAD_VERSION"]);
  await source.close({ code: "done" });
  await source.close({ code: "done" });
});

test("says stop when it goes, and waits no longer than half a second for the answer", async () => {
  const clock = new ManualClock();
  const script = wellBehaved(contentsOf([h264Track]), key(1));
  const { origin, source } = await receive((asked, connection) => {
    return asked.application === "stop" ? undefined : script(asked, connection);
  }, clock);
  const closing = source.close({ code: "done" });
  await until(() => origin.asked.at(-1)!.application === "stop", "stop");
  assert.deepEqual(
    origin.asked.map(({ id, target }) => [id, target]),
    [1, 2, 3].map((id) => [id, "ovt://origin:9000/app/cam"]),
  );
  clock.advance(500);
  await closing;
  assert.equal(clock.pendingTimers, 0);
});

test("an origin that plays nothing is given up after 3 s", async () => {
  const clock = new ManualClock();
  const origin = new ScriptedOrigin(wellBehaved(contentsOf([h264Track])));
  const opening = open(origin, clock);
  await until(() => origin.asked.length === 2, "play");
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(3_000);
  await assert.rejects(opening, { code: "OVT_NO_MEDIA" });
  assert.equal(clock.pendingTimers, 0);
});

test("giving up an attempt closes its connection", async () => {
  const abort = new AbortController();
  const origin = new ScriptedOrigin(() => undefined);
  const opening = open(origin, systemClock, abort.signal);
  await until(() => origin.asked.length === 1, "describe");
  abort.abort();
  await assert.rejects(opening, { code: "OVT_ABORTED" });
  await until(() => origin.connection.destroyed, "the connection is closed");
});
