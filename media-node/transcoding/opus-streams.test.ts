import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, describedAs, FakeSource, frame, settle, videoTrack } from "../../test/support/fake-source.ts";
import { serializeAacConfig } from "../codecs/aac.ts";
import type { Sample } from "../core/sample.ts";
import { StreamHub, type StreamHold } from "../core/stream-hub.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { silentLogger, type Logger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { OpenOpusEncoder, OpusEncoderEvents } from "./ffmpeg-encoder.ts";
import { OpusStreams, tracksToConvert } from "./opus-streams.ts";

const aacTrack: Track = {
  ...audioTrack,
  codec: "aac",
  decoderConfig: serializeAacConfig({ objectType: 2, sampleRate: 48_000, channels: 2 }),
};
const aac = (index: number): Sample => ({
  trackId: 1,
  pts: index * 1_024,
  dts: index * 1_024,
  duration: 1_024,
  isKeyframe: true,
  data: Uint8Array.of(0x21, index),
});
/** 20 ms of stereo (RFC 6716 §3.1). */
const opusPacket = Uint8Array.of(0xfc, 1, 2);

class FakeEncoder {
  readonly frames: Uint8Array[] = [];
  isFull = false;
  isClosed = false;
  readonly events: OpusEncoderEvents;
  constructor(events: OpusEncoderEvents) {
    this.events = events;
  }

  end(message: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events.onEnd(message);
  }
}

interface World {
  readonly clock: ManualClock;
  readonly source: FakeSource;
  readonly hub: StreamHub;
  readonly streams: OpusStreams;
  readonly encoders: FakeEncoder[];
  readonly logged: string[];
  readonly acquire: () => Promise<StreamHold>;
}

function worldOf(
  description: StreamDescription = describedAs({ tracks: [videoTrack, aacTrack] }),
  hasFfmpeg = true,
): World {
  const clock = new ManualClock();
  const source = new FakeSource(description);
  const encoders: FakeEncoder[] = [];
  const logged: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (event) => void logged.push(event), with: () => logger };
  const open: OpenOpusEncoder = (_setting, events) => {
    const encoder = new FakeEncoder(events);
    encoders.push(encoder);
    return {
      push(data) {
        if (encoder.isFull) return false;
        encoder.frames.push(data);
        return true;
      },
      close() {
        encoder.end("closed");
        return Promise.resolve();
      },
    };
  };
  const hub = new StreamHub({
    clock,
    logger: silentLogger,
    nodeId: "me",
    openers: new Map([["fake", () => Promise.resolve(source)]]),
    plan: async () => ({
      urls: ["fake://a"],
      from: "rule",
      noInputTimeoutMs: 60_000,
      unusedTimeoutMs: 10_000,
      graceMs: 0,
      retryCount: 0,
      isPersistent: false,
    }),
  });
  const findEncoder = (): OpenOpusEncoder | undefined => (hasFfmpeg ? open : undefined);
  const streams = new OpusStreams({ hub, findEncoder, clock, logger, random: () => 0, maxEncoders: 3 });
  return {
    clock,
    source,
    hub,
    streams,
    encoders,
    logged,
    async acquire() {
      const result = await streams.acquire({ vhost: "v", app: "app", stream: "s" }, { protocol: "whep" });
      if (result.kind !== "stream") assert.fail(result.reason);
      return result.hold;
    },
  };
}

function collect(hold: StreamHold): Sample[] {
  const samples: Sample[] = [];
  hold.stream.addReader({ onSample: (sample) => samples.push(sample), onEnd() {} });
  return samples;
}

test("a stream whose only sound is AAC has Opus in its place, the same id and name, and times to the sample", async () => {
  const { source, acquire, encoders } = worldOf();
  const hold = await acquire();
  assert.deepEqual(
    hold.stream.description.tracks.map(({ id, codec, name, timescale }) => [id, codec, name, timescale]),
    [
      [0, "h264", "Video", 90_000],
      [1, "opus", "Audio", 48_000],
    ],
  );
  const samples = collect(hold);
  source.sink!.onSample(frame(0));
  for (let index = 0; index < 5; index++) source.sink!.onSample(aac(index));
  const [encoder] = encoders;
  assert.equal(encoder!.frames.length, 5);
  assert.deepEqual(encoder!.frames[2], aac(2).data);
  encoder!.events.onPreSkip(312);
  encoder!.events.onPacket(opusPacket);
  encoder!.events.onPacket(opusPacket);
  assert.deepEqual(
    samples.map(({ trackId, pts, duration }) => [trackId, pts, duration]),
    [
      [0, 0, 3_600],
      [1, -312, 960],
      [1, 648, 960],
    ],
  );
});

test("pictures pass in the same turn, whatever the encoder does", async () => {
  const { source, acquire, encoders } = worldOf();
  const hold = await acquire();
  const samples = collect(hold);
  encoders[0]!.isFull = true;
  for (let index = 0; index < 10; index++) {
    source.sink!.onSample(aac(index));
    const picture = frame(index);
    source.sink!.onSample(picture);
    assert.equal(samples.at(-1), picture);
  }
});

test("however many viewers, one encoder; without viewers none; the next viewer starts another", async () => {
  const { acquire, encoders, streams, clock } = worldOf();
  const holds = await Promise.all([acquire(), acquire(), acquire()]);
  assert.equal(new Set(holds.map(({ stream }) => stream)).size, 1);
  assert.deepEqual([encoders.length, streams.counters.running], [1, 1]);
  holds[0].viewers = 7;
  assert.equal(holds[0].viewers, 7);
  for (const hold of holds) {
    assert.equal(encoders[0]!.isClosed, false);
    hold.release();
    hold.release();
  }
  clock.advance(1_999);
  const late = await acquire();
  clock.advance(2_000);
  assert.deepEqual([late.stream, encoders.length], [holds[0].stream, 1]);
  late.release();
  clock.advance(2_000);
  assert.deepEqual([encoders[0]!.isClosed, streams.counters.running], [true, 0]);
  assert.equal(holds[0].stream.closeReason?.code, "unused");
  const again = await acquire();
  assert.equal(again.stream.isClosed, false);
  assert.deepEqual([encoders.length, streams.counters.running], [2, 1]);
});

test("a viewer who joins gets the pictures from the last key frame on, and their sound", async () => {
  const { source, acquire, encoders, clock } = worldOf();
  const first = await acquire();
  for (let index = 0; index < 30; index++) {
    source.sink!.onSample(frame(index));
    source.sink!.onSample(aac(index));
  }
  first.release();
  clock.advance(2_000);
  const { stream } = await acquire();
  assert.deepEqual(
    stream.recentSamples().map(({ pts }) => pts / 3_600),
    [25, 26, 27, 28, 29],
  );
  assert.deepEqual(
    encoders[1]!.frames.map((data) => data[1]),
    [25, 26, 27, 28, 29],
  );
});

test("an encoder that ends is started again, each time a little later, and sound goes on where the source is", async () => {
  const { source, acquire, encoders, clock, streams, logged } = worldOf();
  const samples = collect(await acquire());
  const pauses: number[] = [];
  for (let round = 0; round < 9; round++) {
    encoders.at(-1)!.end("ffmpeg ended (1)");
    source.sink!.onSample(aac(round));
    const sinceMs = clock.nowMs();
    const { length } = encoders;
    while (encoders.length === length) clock.advance(50);
    pauses.push(clock.nowMs() - sinceMs);
  }
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  assert.deepEqual(streams.counters, {
    running: 1,
    started: 10,
    restarted: 9,
    refused: 0,
    droppedFrames: 9,
    packets: 0,
  });
  assert.equal(logged.filter((event) => event === "sound for WebRTC stopped").length, 9);
  source.sink!.onSample(aac(1_000));
  encoders.at(-1)!.events.onPreSkip(312);
  encoders.at(-1)!.events.onPacket(opusPacket);
  assert.equal(samples[0]!.pts, 1_000 * 1_024 - 312);
});

test("a new encoder's packets that overlap the old one's are left out", async () => {
  const { source, acquire, encoders, clock } = worldOf();
  const samples = collect(await acquire());
  for (const index of [0, 1]) source.sink!.onSample(aac(index));
  for (let count = 0; count < 2; count++) encoders[0]!.events.onPacket(opusPacket);
  encoders[0]!.end("gone");
  clock.advance(250);
  source.sink!.onSample(aac(2));
  encoders[1]!.events.onPreSkip(1_500);
  for (let count = 0; count < 2; count++) encoders[1]!.events.onPacket(opusPacket);
  assert.deepEqual(
    samples.map(({ pts }) => pts),
    [0, 960, 2_048 - 1_500 + 960],
  );
});

test("an encoder that takes sound and returns none is replaced after five seconds", async () => {
  const { source, acquire, encoders, clock } = worldOf();
  await acquire();
  for (let index = 0; index < 300; index++) {
    source.sink!.onSample(aac(index));
    clock.advance(21);
  }
  assert.equal(encoders.length, 2);
  assert.equal(encoders[0]!.isClosed, true);
});

test("a group of pictures that comes at once, with ten seconds of sound, is no reason to replace anything", async () => {
  const { source, acquire, encoders } = worldOf();
  await acquire();
  for (let index = 0; index < 500; index++) source.sink!.onSample(aac(index));
  assert.equal(encoders.length, 1);
});

test("an encoder that does not keep up loses sound, and what it gets keeps its time", async () => {
  const { source, acquire, encoders, streams } = worldOf();
  const samples = collect(await acquire());
  source.sink!.onSample(aac(0));
  encoders[0]!.isFull = true;
  for (let index = 1; index < 100; index++) source.sink!.onSample(aac(index));
  encoders[0]!.isFull = false;
  for (let index = 100; index < 102; index++) source.sink!.onSample(aac(index));
  assert.equal(streams.counters.droppedFrames, 99);
  for (let count = 0; count < 3; count++) encoders[0]!.events.onPacket(opusPacket);
  assert.deepEqual(
    samples.map(({ pts }) => pts),
    [0, 960, 100 * 1_024 + (2 * 960 - 1_024)],
  );
});

test("a time jump of the source, or another configuration, begins with a new encoder", async () => {
  const { source, acquire, encoders } = worldOf();
  const hold = await acquire();
  const sink = source.sink!;
  sink.onDescription(describedAs({ tracks: [videoTrack, { ...aacTrack, bitrate: 1 }] }));
  assert.equal(encoders.length, 1);
  const decoderConfig = serializeAacConfig({ objectType: 2, sampleRate: 44_100, channels: 1 });
  const mono = { ...aacTrack, decoderConfig, audio: { sampleRate: 44_100, channels: 1 } };
  sink.onDescription(describedAs({ tracks: [videoTrack, mono] }));
  assert.deepEqual(
    encoders.map(({ isClosed }) => isClosed),
    [true, false],
  );
  assert.equal(hold.stream.track(1)?.audio?.channels, 1);
  sink.onDescription(describedAs({ tracks: [videoTrack] }));
  assert.equal(encoders[1]!.isClosed, true);
});

test("the twin ends with its stream, and its children with it", async () => {
  const { hub, acquire, encoders, streams } = worldOf();
  const hold = await acquire();
  await hub.close({ code: "ended" });
  await settle();
  assert.deepEqual([hold.stream.isClosed, encoders[0]!.isClosed, streams.counters.running], [true, true, 0]);
  hold.release();
});

test("close ends everything, and no timer is left", async () => {
  const { acquire, encoders, streams, clock } = worldOf();
  await acquire();
  encoders[0]!.end("gone");
  const timers = clock.pendingTimers;
  await streams.close({ code: "shutdown" });
  assert.equal(clock.pendingTimers, timers - 1);
});

test("Opus and G.711 pass through untouched", async () => {
  for (const codec of ["opus", "pcmu", "pcma"] as const) {
    const { acquire, encoders } = worldOf(
      describedAs({ tracks: [videoTrack, { ...audioTrack, codec }, { ...aacTrack, id: 2 }] }),
    );
    const hold = await acquire();
    assert.deepEqual([encoders.length, hold.stream.track(1)?.codec, hold.stream.track(2)?.codec], [0, codec, "aac"]);
  }
});

test("a node runs no more encoders than it may: further streams come without sound, and the log says so", async () => {
  const { acquire, streams, logged } = worldOf();
  streams.counters.running = 3;
  assert.equal((await acquire()).stream.track(1)?.codec, "aac");
  assert.deepEqual([streams.counters.refused, logged], [1, ["WebRTC viewers get no sound"]]);
});

test("without ffmpeg the stream is there without sound, and the log says once a minute what to install", async () => {
  const { acquire, logged, clock } = worldOf(undefined, false);
  for (let viewer = 0; viewer < 3; viewer++) assert.equal((await acquire()).stream.track(1)?.codec, "aac");
  assert.deepEqual(logged, ["WebRTC viewers get no sound"]);
  clock.advance(60_000);
  await acquire();
  assert.equal(logged.length, 2);
});

test("AAC with frames of another length is left out and explained", async () => {
  const low = { ...aacTrack, decoderConfig: Uint8Array.of(0xf8, 0xe6, 0x40, 0) };
  const { acquire, logged, encoders } = worldOf(describedAs({ tracks: [videoTrack, low] }));
  assert.equal((await acquire()).stream.track(1)?.codec, "aac");
  assert.deepEqual([logged, encoders.length], [["sound cannot be sent by WebRTC"], 0]);
});

test("of several languages, those that renditions name are converted; elsewhere the first", () => {
  const rendition = (audioTrackName: string) => ({
    name: audioTrackName,
    videoTrackName: "Video",
    audioTrackName,
    videoIndexHint: -1,
    audioIndexHint: -1,
  });
  const tracks = ["en", "fr", "de"].map((name, index) => ({ ...aacTrack, id: index + 1, name }));
  const playlist = {
    name: "p",
    fileName: "p",
    webrtcAutoAbr: false,
    hlsChunklistPathDepth: -1,
    enableTsPackaging: false,
  };
  const names = (description: StreamDescription): string[] => tracksToConvert(description).map(({ name }) => name);
  assert.deepEqual(names(describedAs({ tracks })), ["en"]);
  const playlists = [{ ...playlist, renditions: [rendition("fr"), rendition("de")] }];
  assert.deepEqual(names(describedAs({ tracks, playlists })), ["en", "fr", "de"]);
  const withOpus = [...tracks, { ...audioTrack, id: 9, name: "de" }];
  assert.deepEqual(names(describedAs({ tracks: withOpus, playlists })), ["fr"]);
});
