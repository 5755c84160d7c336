import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, newStream, videoTrack } from "../../test/support/synthetic-media.ts";
import type { Sample } from "./sample.ts";
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
