import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, audioTrack, newStream, videoTrack } from "../../test/support/synthetic-media.ts";
import { MemoryLogger } from "../../test/support/webrtc-room.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { Sample } from "./sample.ts";
import { Stream } from "./stream.ts";
import type { Track } from "./track.ts";

const subtitleTrack: Track = { id: 9, kind: "subtitle", codec: "webvtt", name: "", timescale: 1_000, bitrate: 0 };
const at = ({ id, timescale }: Track, ms: number): Sample => {
  const ticks = (ms * timescale) / 1000;
  return { trackId: id, pts: ticks, dts: ticks, duration: 0, isKeyframe: true, data: new Uint8Array(8) };
};

test("a stream began with its first picture or sound, whatever cues came before", () => {
  const stream = newStream([videoTrack, audioTrack, subtitleTrack]);
  assert.equal(stream.beganMs, undefined);
  stream.publish(at(subtitleTrack, 100));
  assert.equal(stream.beganMs, undefined);
  stream.publish(at(audioTrack, 5_000));
  stream.publish(at(videoTrack, 5_200));
  assert.equal(stream.beganMs, 5_000);
});

test("what the origin says of a stream's beginning holds, also when another source goes on with it", () => {
  const stream = newStream([videoTrack], 0, { beganMs: 700 });
  stream.publish(at(videoTrack, 5_000));
  assert.equal(stream.beganMs, 700);
  const { beganMs: _before, ...description } = stream.description;
  stream.describe({ ...description, beganMs: 9_000 }, false);
  assert.equal(stream.beganMs, 700);
});

test("a reader that throws ends, is told of, and costs neither the source nor its neighbours anything", () => {
  const logger = new MemoryLogger();
  const description = describe([videoTrack, audioTrack]);
  const stream = new Stream({ vhost: "v", app: "app", stream: "s" }, description, { clock: new ManualClock(), logger });
  const seen: string[] = [];
  const broken = (when: "sample" | "description" | "end"): void => {
    const act = (now: string): void => {
      if (now === when) throw new Error(`broken at its ${when}`);
    };
    stream.addReader({
      onSample: () => act("sample"),
      onDescription: () => act("description"),
      onEnd: ({ code }) => (seen.push(`${when} ${code}`), act("end")),
    });
  };
  broken("sample");
  broken("description");
  broken("end");
  stream.addReader({
    onSample: () => seen.push("neighbour has it"),
    onEnd: ({ code }) => seen.push(`neighbour ${code}`),
  });
  stream.publish(at(videoTrack, 0));
  stream.describe(description, false);
  stream.close({ code: "gone" });
  const failed = ["sample reader-failed", "neighbour has it", "description reader-failed"];
  assert.deepEqual(seen, [...failed, "end gone", "neighbour gone"]);
  const whens = logger.lines.map(({ fields }) => fields["error"]);
  assert.deepEqual(whens, ["broken at its sample", "broken at its description", "broken at its end"]);
});
