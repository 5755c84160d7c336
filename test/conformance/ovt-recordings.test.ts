// Connections recorded between OvenMediaEngine processes, replayed: once as the edge, once as the origin.
import assert from "node:assert/strict";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import type { Sample } from "../../media-node/core/sample.ts";
import { NoSuchStream, type Source } from "../../media-node/core/source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { parseOvtDescription, serializeOvtDescription } from "../../media-node/ovt/ovt-description.ts";
import { parseOvtResponse, serializeOvtResponse } from "../../media-node/ovt/ovt-message.ts";
import { openOvtSource } from "../../media-node/ovt/ovt-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { validateOriginBytes } from "../support/ovt-edge-validator.ts";
import { decodeTrace, recordedBytes, recordingNames, type TraceMedia } from "../support/ovt-fixtures.ts";
import { FedSource, openTestNode, until } from "../support/ovt-kit.ts";

interface PlainSample {
  trackId: number;
  pts: number;
  dts: number;
  isKeyframe: boolean;
  data: string;
}

/** What an edge should make of the recorded packets: written here once more, the slow way. */
function expectedSamples(media: readonly TraceMedia[], tracks: readonly Record<string, unknown>[]): PlainSample[] {
  const samples: PlainSample[] = [];
  const started = new Set<number>();
  for (const { trackId, pts, dts, mediaType, data } of media) {
    const track = tracks.find(({ id }) => id === trackId)!;
    const times = { trackId, pts: Number(pts), dts: Number(dts) };
    if (mediaType === 0) {
      const isKeyframe = hasKeyNal(data, Number(track["codecId"]));
      if (isKeyframe) started.add(trackId);
      // One recording holds a packet of parameter sets alone, which is no picture.
      if (started.has(trackId) && hasPicture(data, Number(track["codecId"])))
        samples.push({ ...times, isKeyframe, data: data.toString("hex") });
    } else if (track["codecId"] === 7) {
      for (let at = 0, index = 0; at < data.length; index++) {
        const length = (data.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
        const offset = Math.round((index * 1024 * Number(track["timebaseDen"])) / 48_000);
        const frame = data.subarray(at + 7, at + length).toString("hex");
        samples.push({ trackId, pts: times.pts + offset, dts: times.dts + offset, isKeyframe: true, data: frame });
        at += length;
      }
    } else samples.push({ ...times, isKeyframe: true, data: data.toString("hex") });
  }
  return samples;
}

function nalTypes(data: Buffer, codecId: number): number[] {
  const types: number[] = [];
  for (let i = 0; i + 3 < data.length; i++) {
    if (data[i] !== 0 || data[i + 1] !== 0 || data[i + 2] !== 1) continue;
    types.push(codecId === 1 ? data[i + 3]! & 31 : (data[i + 3]! >> 1) & 63);
  }
  return types;
}

const hasKeyNal = (data: Buffer, codecId: number): boolean =>
  nalTypes(data, codecId).some((type) => (codecId === 1 ? type === 5 : type >= 16 && type <= 21));

const hasPicture = (data: Buffer, codecId: number): boolean =>
  nalTypes(data, codecId).some((type) => (codecId === 1 ? type >= 1 && type <= 5 : type < 32));

/** An origin that plays a recording: each answer when it is asked for, the media behind the one to play. */
function replay(recording: Uint8Array): { dial: () => Promise<Duplex>; asked: Record<string, unknown>[] } {
  const { packets } = decodeTrace(recording);
  const answers = packets.filter(({ payloadType }) => payloadType === 20);
  const all = Buffer.from(recording);
  const asked: Record<string, unknown>[] = [];
  const dial = async (): Promise<Duplex> => {
    const [near, far] = duplexPair();
    far.on("error", () => {});
    far.on("data", (chunk: Buffer) => {
      asked.push(...decodeTrace(chunk).messages);
      const answer = answers[asked.length - 1];
      if (!answer) {
        far.end();
        return;
      }
      const until = asked.length === 2 ? (answers[2]?.start ?? all.length) : answer.end;
      for (let at = answer.start; at < until; at += 8_191) far.write(all.subarray(at, Math.min(until, at + 8_191)));
      if (answers[asked.length] === undefined) far.end();
    });
    return near;
  };
  return { dial, asked };
}

const open = (recording: Uint8Array): { source: Promise<Source>; asked: Record<string, unknown>[] } => {
  const { dial, asked } = replay(recording);
  const opener = openOvtSource({ dial, clock: systemClock, logger: silentLogger, nodeId: "edge" });
  return { source: opener("ovt://o:9000/app/s360", { signal: AbortSignal.timeout(10_000) }), asked };
};

const plain = ({ trackId, pts, dts, isKeyframe, data }: Sample): PlainSample => {
  return { trackId, pts, dts, isKeyframe, data: Buffer.from(data).toString("hex") };
};

const tracksOf = (messages: readonly Record<string, unknown>[]): Record<string, unknown>[] => {
  return JSON.parse(JSON.stringify(messages[0])).contents.stream.tracks;
};

for (const name of recordingNames) {
  test(`${name}: an edge gets every sample of the recording`, async () => {
    const recording = recordedBytes(name, "origin");
    const trace = decodeTrace(recording);
    const { source: opening, asked } = open(recording);
    const source = await opening;
    const got: Sample[] = [];
    const expected = expectedSamples(trace.media, tracksOf(trace.messages));
    source.start({
      onSample: (sample) => got.push(sample),
      onDescription: () => assert.fail("nothing changed"),
      onEnd() {},
    });
    await until(() => got.length >= expected.length, `${expected.length} samples`);
    await source.close({ code: "done" });
    assert.deepEqual(got.map(plain), expected);
    assert.deepEqual(asked.map((request) => request["application"]).slice(0, 2), ["describe", "play"]);
    const ids = tracksOf(trace.messages).map((track) => track["id"]);
    assert.deepEqual(
      source.description.tracks.map(({ id }) => id),
      ids,
    );
    assert.equal(source.description.isEpochShared, false);
    // The recorded media lies at the time it is received.
    const first = got[0]!;
    const timescale = source.description.tracks.find(({ id }) => id === first.trackId)!.timescale;
    const wallMs = source.description.epochMs + (first.pts * 1000) / timescale;
    assert.ok(Math.abs(Date.now() - wallMs) < 60_000);
  });

  test(`${name}: the description is understood in full and written again byte by byte`, () => {
    const recording = Buffer.from(recordedBytes(name, "origin"));
    const { packets } = decodeTrace(recording);
    for (const { start, end, payload, timestamp } of packets.filter(({ payloadType }) => payloadType === 20)) {
      const response = parseOvtResponse(payload);
      const contents = response.contents && parseOvtDescription(response.contents);
      const again = serializeOvtResponse(
        { ...response, ...(contents && { contents: serializeOvtDescription(contents) }) },
        Number(timestamp),
      );
      assert.equal(Buffer.from(again).toString("latin1"), recording.toString("latin1", start, end));
    }
  });

  test(`${name}: the recorded edge would accept what an origin sends of the same stream`, async () => {
    const source = await open(recordedBytes(name, "origin")).source;
    const fed = new FedSource(source.description);
    const origin = openTestNode("origin", { fed: { s: fed }, recentMs: 60_000 });
    const streamName = { vhost: "default", app: "app", stream: "s" };
    const held = await origin.hub.acquire(streamName, { protocol: "llhls" });
    assert.ok(held.kind === "stream");
    let fedCount = 0;
    source.start({
      onSample(sample) {
        fedCount++;
        fed.push(sample);
      },
      onDescription: () => assert.fail("nothing changed"),
      onEnd() {},
    });
    const { media, messages } = decodeTrace(recordedBytes(name, "origin"));
    const expected = expectedSamples(media, tracksOf(messages)).length;
    await until(() => fedCount >= expected, "the recording is fed");
    await source.close({ code: "done" });

    const [edge, far] = duplexPair();
    origin.publisher.accept(far, "127.0.0.1");
    const chunks: Buffer[] = [];
    edge.on("data", (chunk: Buffer) => chunks.push(chunk));
    const requests = decodeTrace(recordedBytes(name, "edge")).packets.map(({ payload, firstByte }) => {
      assert.equal(firstByte, 0x60);
      return { ...JSON.parse(payload.toString("utf8")), target: "ovt://o:9001/app/s" };
    });
    for (const [index, request] of requests.entries()) {
      const body = Buffer.from(JSON.stringify(request));
      const header = Buffer.alloc(18);
      header[0] = 0x60;
      header[1] = 10;
      header.writeUInt16BE(body.length, 16);
      edge.write(Buffer.concat([header, body]));
      const answered = (): number => decodeTrace(Buffer.concat(chunks)).messages.length;
      await until(() => answered() > index, `answer ${index}`);
    }
    await until(() => edge.readableEnded, "FIN after stop");
    edge.end();
    const trace = validateOriginBytes(Buffer.concat(chunks), { requests });
    assert.ok(trace.media.length > 10, "media was sent");
    assert.ok(trace.media.find(({ mediaType }) => mediaType === 0)!.flag === 2, "video begins with a key frame");
    held.hold.release();
    await origin.close();
  });
}

test("a stream the recorded origin does not have is no such stream", async () => {
  await assert.rejects(open(recordedBytes("missing_stream", "origin")).source, NoSuchStream);
});

test("a stream the recorded origin has not started may come later", async () => {
  await assert.rejects(open(recordedBytes("describe_202_not_started", "origin")).source, { code: "OVT_NOT_READY" });
});
