import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { serializeAacConfig, serializeAdtsHeader } from "../codecs/aac.ts";
import { joinAnnexB } from "../codecs/annex-b.ts";
import type { Sample } from "../core/sample.ts";
import type { Source } from "../core/source.ts";
import { silentLogger } from "../flow/logger.ts";
import { systemClock } from "../time/clock.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { openTestNode, pps, sps, until } from "../../test/support/ovt-kit.ts";
import {
  contentsOf,
  mediaBytes,
  messageBytes,
  ScriptedOrigin,
  wellBehaved,
  wireTrack,
} from "../../test/support/scripted-origin.ts";
import { OvtEdgeDialogue } from "./edge-dialogue.ts";
import { openOvtSource } from "./ovt-source.ts";

const h264Track = wireTrack(0, 0, 1);
const keyFrame = joinAnnexB([sps, pps, Uint8Array.of(0x65, 0x88, 0x84)]);
const key = (pts: number): Buffer => mediaBytes({ track: 0, pts, mediaType: 0, flag: 2, format: 1, data: keyFrame });

async function receive(origin: ScriptedOrigin): Promise<{ source: Source; samples: Sample[] }> {
  const opener = openOvtSource({ dial: origin.dial, clock: systemClock, logger: silentLogger, nodeId: "edge" });
  const source = await opener("ovt://origin:9000/app/cam", { signal: new AbortController().signal });
  const samples: Sample[] = [];
  source.start({ onSample: (sample) => samples.push(sample), onDescription() {}, onEnd() {} });
  return { source, samples };
}

test("a request is one write, and nothing is asked before the answer to what was asked first", () => {
  const events = {
    onDescribed() {},
    onPlaying() {},
    onMedia() {},
    onPulse() {},
    onUnexpectedMessage() {},
    onStopped() {},
  };
  const dialogue = new OvtEdgeDialogue({ target: `ovt://o:9000/app/s?${"q".repeat(3_900)}` }, events);
  dialogue.describe(0, 0);
  assert.ok(dialogue.takeOutput()!.length > 3_900);
  assert.equal(dialogue.takeOutput(), undefined);
  assert.throws(() => dialogue.play(0, 0));
  dialogue.receive(messageBytes({ id: 1, application: "describe", code: 200, message: "ok", contents: {} }));
  dialogue.play(0, 0);
  assert.throws(() => dialogue.play(0, 0), "one stream a connection");
});

test("tracks of codecs and packets of formats nobody knows, and packets of tracks nobody described, are left out", async () => {
  const image = wireTrack(1, 0, 10);
  const novelty = wireTrack(2, 1, 77);
  const media = [
    key(1),
    mediaBytes({ track: 1, pts: 1, mediaType: 0, flag: 2, format: 15, data: Uint8Array.of(0xff, 0xd8) }),
    mediaBytes({ track: 2, pts: 1, mediaType: 1, format: 99, data: Uint8Array.of(1) }),
    mediaBytes({ track: 9, pts: 1, mediaType: 0, flag: 2, format: 1, data: keyFrame }),
    mediaBytes({ track: 0, pts: 2, mediaType: 0, flag: 2, format: 0, data: keyFrame }),
    mediaBytes({ track: 0, pts: 3, mediaType: 1, flag: 2, format: 1, data: keyFrame }),
    key(4),
  ];
  const origin = new ScriptedOrigin(wellBehaved(contentsOf([h264Track, image, novelty]), Buffer.concat(media)));
  const { source, samples } = await receive(origin);
  await until(() => samples.length === 2, "what is known");
  assert.deepEqual(
    samples.map(({ trackId, pts }) => [trackId, pts]),
    [
      [0, 1],
      [0, 4],
    ],
  );
  assert.deepEqual(
    source.description.tracks.map(({ id }) => id),
    [0],
  );
  await source.close({ code: "done" });
});

test("AAC frames that come together are samples of their own, each with its time", async () => {
  const config = { objectType: 2, sampleRate: 48_000, channels: 2 };
  const decoderConfig = Buffer.from(serializeAacConfig(config)).toString("base64");
  const frames = Array.from({ length: 11 }, (_, i) => Uint8Array.of(0x21, i));
  const data = Buffer.concat(frames.flatMap((frame) => [serializeAdtsHeader(config, frame.length), frame]));
  const track = wireTrack(3, 1, 7, { timebaseDen: 90_000, decoderConfig });
  const media = [90_000, 90_000 + 21_120].map((pts) => mediaBytes({ track: 3, pts, mediaType: 1, format: 10, data }));
  const { source, samples } = await receive(new ScriptedOrigin(wellBehaved(contentsOf([track]), Buffer.concat(media))));
  await until(() => samples.length === 22, "eleven frames of both packets");
  assert.deepEqual(
    samples.map(({ pts }) => pts),
    Array.from({ length: 22 }, (_, i) => 90_000 + i * 1_920),
  );
  assert.deepEqual([samples[5]!.duration, [...samples[5]!.data]], [1_920, [0x21, 5]]);
  await source.close({ code: "done" });
});

test("media that arrives after stop is ignored until the answer, a torn one included", async () => {
  const script = wellBehaved(contentsOf([h264Track]), key(1));
  const origin = new ScriptedOrigin((asked, connection) => {
    const answer = script(asked, connection);
    return asked.application === "stop" ? Buffer.concat([key(2), key(3), messageBytes({ id: 99 })]) : answer;
  });
  const { source, samples } = await receive(origin);
  await until(() => samples.length === 1, "a sample");
  await source.close({ code: "done" });
  assert.equal(samples.length, 1);
  assert.ok(origin.connection.destroyed);
});

test("an origin that is gone is asked again with growing pauses", async () => {
  const clock = new ManualClock();
  const origin = new ScriptedOrigin(wellBehaved(contentsOf([h264Track]), key(1)));
  const attempts: number[] = [];
  const dial = async (): Promise<Duplex> => {
    attempts.push(clock.nowMs());
    if (attempts.length > 1) throw new Error("nobody is there");
    return origin.dial();
  };
  const rules = { "app/cam": ["ovt://origin:9000/app/cam"] };
  const node = openTestNode("edge", { clock, dial, rules, plan: { graceMs: 60_000, retryCount: 100 } });
  const result = await node.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "whep" });
  assert.equal(result.kind, "stream");
  origin.connection.end();
  for (let step = 0; step < 400; step++) {
    clock.advance(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const pauses = attempts.slice(2).map((at, i) => at - attempts[i + 1]!);
  assert.ok(attempts.length >= 8 && attempts.length <= 60, `${attempts.length} attempts in 40 s`);
  const longest = Math.max(...pauses);
  assert.ok(longest >= pauses[0]! * 1.5 && longest <= 5_200, `pauses of ${pauses.join(", ")} ms`);
  await node.close();
});
