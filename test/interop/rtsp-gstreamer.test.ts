// Pulls from GStreamer's RTSP server, a real peer in a process of its own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { splitAnnexB } from "../../media-node/codecs/annex-b.ts";
import { nalTypeOf } from "../../media-node/codecs/h264.ts";
import { opusPacketSamples } from "../../media-node/codecs/opus.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { NoSuchStream, type Source } from "../../media-node/core/source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { probeRtsp } from "../../media-node/rtsp/probe-rtsp.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { collectSource, dialLoopback } from "../support/collect-source.ts";
import { startRtspServer, type RtspServerProcess } from "../support/rtsp-server.ts";

let server: RtspServerProcess;
before(async () => {
  server = await startRtspServer();
});
after(() => server.close());

const open = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger });
const pull = (path: string, port = server.port, user = ""): Promise<Source> =>
  open(`rtsp://${user}127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(10_000) });
const of = (samples: readonly Sample[], trackId: number): Sample[] => samples.filter((s) => s.trackId === trackId);
const milliseconds = (ticks: number, timescale: number): number => (ticks * 1000) / timescale;

/** Strictly increasing decoding times, pictures complete, and a key frame first. */
function assertPlayable(samples: readonly Sample[]): void {
  assert.ok(samples[0]?.isKeyframe);
  for (const [index, sample] of samples.entries()) {
    if (index > 0) assert.ok(sample.dts > samples[index - 1]!.dts, `dts at ${index}`);
    assert.ok(sample.pts >= sample.dts, `pts at ${index}`);
  }
}

test("pulls H.264 and AAC on one clock that counts from the common epoch", async () => {
  const source = await pull("/h264-aac");
  const [video, audio] = source.description.tracks;
  assert.deepEqual(
    [video?.codec, video?.video, video?.timescale],
    ["h264", { width: 320, height: 240, framerate: 25 }, 90_000],
  );
  assert.equal(video?.decoderConfig?.[0], 1);
  assert.deepEqual([audio?.codec, audio?.audio], ["aac", { sampleRate: 48_000, channels: 2 }]);
  assert.deepEqual([source.description.epochMs, source.description.isEpochShared], [hearthEpochMs, true]);
  const { samples, until } = collectSource(source);
  await until(() => of(samples, 0).length >= 50 && of(samples, 1).length >= 50);
  await source.close({ code: "done" });
  const pictures = of(samples, 0);
  assertPlayable(pictures);
  assertPlayable(of(samples, 1));
  for (const { data, isKeyframe } of pictures) {
    const types = splitAnnexB(data).map((nal) => nalTypeOf(nal[0]!));
    assert.equal(types.includes(5), isKeyframe);
    assert.ok(types.includes(5) || types.includes(1));
  }
  const sinceEpochMs = Date.now() - hearthEpochMs;
  const lastVideoMs = milliseconds(pictures.at(-1)!.pts, 90_000);
  const lastAudioMs = milliseconds(of(samples, 1).at(-1)!.pts, 48_000);
  assert.ok(Math.abs(lastVideoMs - sinceEpochMs) < 3_000, `${lastVideoMs} against ${sinceEpochMs}`);
  assert.ok(Math.abs(lastVideoMs - lastAudioMs) < 500, `${lastVideoMs} against ${lastAudioMs}`);
});

test("pulls H.264 and Opus", async () => {
  const source = await pull("/h264-opus");
  assert.deepEqual(
    source.description.tracks.map(({ codec }) => codec),
    ["h264", "opus"],
  );
  const { samples, until } = collectSource(source);
  await until(() => of(samples, 0).length >= 10 && of(samples, 1).length >= 30);
  await source.close({ code: "done" });
  for (const { data } of of(samples, 1)) assert.equal(opusPacketSamples(data), 960);
});

test("pulls over UDP where the rule says so, and falls back to TCP where the server has no UDP", async () => {
  const byUdp = openRtspSource({
    dial: dialLoopback,
    clock: systemClock,
    logger: silentLogger,
    settingsOf: () => ({ transport: "udp" }),
  });
  const onlyTcp = await startRtspServer("--transport", "tcp");
  try {
    for (const port of [server.port, onlyTcp.port]) {
      const url = `rtsp://127.0.0.1:${port}/h264-aac`;
      const source = await byUdp(url, { signal: AbortSignal.timeout(10_000) });
      const { samples, until } = collectSource(source);
      await until(() => of(samples, 0).length >= 40 && of(samples, 1).length >= 40);
      await source.close({ code: "done" });
      assertPlayable(of(samples, 0));
      assertPlayable(of(samples, 1));
    }
  } finally {
    await onlyTcp.close();
  }
});

test("goes over to UDP where the server refuses TCP", async () => {
  const onlyUdp = await startRtspServer("--transport", "udp");
  try {
    const source = await pull("/h264", onlyUdp.port);
    await collectSource(source).until((samples) => samples.length > 5);
    await source.close({ code: "done" });
  } finally {
    await onlyUdp.close();
  }
});

const codecs: [path: string, codec: string, kind: "video" | "audio"][] = [
  ["/h265", "h265", "video"],
  ["/vp8", "vp8", "video"],
  ["/pcmu", "pcmu", "audio"],
  ["/pcma", "pcma", "audio"],
  ["/mp3", "mp3", "audio"],
  ["/latm", "aac", "audio"],
];
for (const [path, codec, kind] of codecs) {
  test(`pulls ${codec} from ${path}`, async () => {
    const source = await pull(path);
    const { samples, until } = collectSource(source);
    await until(() => samples.length >= 30);
    const track = source.description.tracks[0]!;
    await source.close({ code: "done" });
    assert.equal(track.codec, codec);
    if (kind === "video") assert.deepEqual([track.video?.width, track.video?.height], [320, 240]);
    assertPlayable(samples);
  });
}

test("pulls sound alone", async () => {
  const source = await pull("/audio");
  const { samples, until } = collectSource(source);
  await until(() => samples.length >= 40);
  await source.close({ code: "done" });
  assert.equal(source.description.tracks[0]?.audio?.sampleRate, 44_100);
  const steps = new Set(samples.slice(1).map((sample, index) => sample.pts - samples[index]!.pts));
  assert.deepEqual([...steps], [1_024]);
});

test("says that a path does not exist", async () => {
  await assert.rejects(pull("/nothing"), NoSuchStream);
});

test("authenticates by Digest and by Basic, and names wrong credentials", async () => {
  for (const scheme of [[], ["--basic"]]) {
    const locked = await startRtspServer("--user", "viewer", "--password", "p@ss", ...scheme);
    try {
      const source = await pull("/h264", locked.port, "viewer:p%40ss@");
      await collectSource(source).until((samples) => samples.length > 2);
      await source.close({ code: "done" });
      await assert.rejects(pull("/h264", locked.port, "viewer:wrong@"), { code: "RTSP_UNAUTHORIZED" });
      await assert.rejects(pull("/h264", locked.port), {
        code: "RTSP_UNAUTHORIZED",
        message: /wants a user and password/,
      });
    } finally {
      await locked.close();
    }
  }
});

test("a server with feedback makes a key frame when it is asked for one, over TCP and UDP", async () => {
  const encoder =
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency";
  const launch = `${encoder} key-int-max=100000 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 config-interval=-1`;
  const asked = await startRtspServer("--feedback", "--mount", "/rare", launch);
  try {
    for (const transport of ["tcp", "udp"]) {
      const source = await pull(`/rare?transport=${transport}`, asked.port);
      const { samples, until } = collectSource(source);
      const keyframes = (): number => samples.filter(({ isKeyframe }) => isKeyframe).length;
      await until(() => samples.length >= 30);
      assert.equal(keyframes(), 1);
      source.requestKeyframe!(0);
      await until(() => keyframes() === 2);
      await source.close({ code: "done" });
    }
  } finally {
    await asked.close();
  }
});

test("tells the sink when the server dies", async () => {
  const mortal = await startRtspServer();
  const source = await pull("/h264", mortal.port);
  const { until, ended } = collectSource(source);
  await until((samples) => samples.length > 2);
  await mortal.kill();
  assert.match((await ended).code, /^RTSP_(CLOSED|ECONNRESET)$/);
  await source.close({ code: "done" });
});

test("says that nothing listens", async () => {
  const gone = await startRtspServer();
  await gone.close();
  await assert.rejects(pull("/h264", gone.port), {
    name: "TransportError",
    message: /nothing listens at 127\.0\.0\.1/,
  });
});

test("two nodes that pull one camera give every picture and sound the same time", async () => {
  const first = await pull("/h264-aac");
  const a = collectSource(first);
  await a.until((samples) => samples.length > 40);
  const second = await pull("/h264-aac");
  const b = collectSource(second);
  // Both agree once they have moved to the sender's clock, at a fiftieth of the time that passes.
  const agree = (samples: readonly Sample[]): boolean =>
    [0, 1].every((trackId) => {
      const times = new Set(of(a.samples, trackId).map(({ pts }) => pts));
      const latest = of(samples, trackId).slice(-50, -10);
      return latest.length === 40 && latest.every(({ pts }) => times.has(pts));
    });
  await b.until((samples) => samples.length % 25 === 0 && agree(samples), 40_000);
  await Promise.all([first, second].map((source) => source.close({ code: "done" })));
  for (const trackId of [0, 1]) {
    const times = new Set(
      of(a.samples, trackId)
        .slice(-60)
        .map(({ pts }) => pts),
    );
    const shared = of(b.samples, trackId)
      .slice(-50, -10)
      .filter(({ pts }) => times.has(pts));
    assert.equal(shared.length, 40, `track ${trackId}`);
    for (const { pts, data } of shared) {
      const twin = a.samples.findLast((sample) => sample.trackId === trackId && sample.pts === pts);
      assert.ok(Buffer.from(data).equals(twin!.data), "one time, two pictures");
    }
  }
});

test("a probe says what is offered, what becomes of it, and what is wrong", async () => {
  const options = { dial: dialLoopback, clock: systemClock, logger: silentLogger, listenMs: 2_500 };
  const probe = (path: string) =>
    probeRtsp(`rtsp://127.0.0.1:${server.port}${path}`, { ...options, signal: AbortSignal.timeout(15_000) });
  const good = await probe("/h264-aac");
  assert.equal(good.isPlayable, true);
  const text = good.findings.map(({ kind, text }) => `${kind}: ${text}`).join("\n");
  assert.match(text, /^offers: video H264: 320 × 240, 25 pictures a second, measured \d/m);
  assert.match(text, /^offers: audio AAC: 48000 Hz, 2 channels/m);
  assert.match(text, /^plan: A key frame comes every 1 s\.$/m);
  assert.match(text, /^plan: Media is taken within the RTSP connection/m);
  const missing = await probe("/nothing");
  assert.deepEqual(missing.isPlayable, false);
  assert.match(missing.findings[0]!.text, /no such stream/);
});
