import assert from "node:assert/strict";
import type { Track } from "../../media-node/core/track.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { audioTrack, describe, newStream, videoTrack } from "../support/synthetic-media.ts";

const subtitleTrack: Track = { id: 2, kind: "subtitle", codec: "webvtt", name: "s", timescale: 1_000, bitrate: 0 };
const tracks = [videoTrack, audioTrack, subtitleTrack];

/** Steps in time, in milliseconds, that a byte of the input stands for: frames, repeats, jumps, outages, leaps. */
const steps = [0, 1, 20, 33, 40, 67, 100, 500, 1_999, 2_000, 2_001, 5_000, 30_000, 400_000, -40, -5_000];

/** Whatever a source sends, and in whatever order: numbers are consecutive and no part is empty. */
export function fuzz(input: Uint8Array): void {
  const stream = newStream(tracks);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 6, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => check(output) });
  output.start();
  const timesMs = [10_000, 10_000];
  for (let at = 0; at + 1 < input.length; at += 2) {
    const trackId = input[at]! & 1;
    const timeMs = (timesMs[trackId]! += steps[input[at + 1]! & 15]!);
    const dts = Math.round((timeMs * (trackId === 0 ? 90_000 : 48_000)) / 1000);
    const isKeyframe = trackId === 1 || (input[at]! & 2) !== 0;
    const data = input.subarray(at, at + (input[at]! >> 2));
    if ((input[at]! & 12) === 12) {
      stream.publish({ trackId: 2, dts: timeMs, pts: timeMs, duration: input[at]! * 20, isKeyframe: true, data });
    }
    stream.publish({ trackId, dts, pts: dts + (input[at + 1]! >> 4) * 90, duration: 0, isKeyframe, data });
    if (input[at] === 0xff) stream.describe(describe(tracks), true);
  }
  stream.close({ code: "fuzz" });
  check(output);
  assert.equal(output.malformed, 0);
}

function check(output: StreamOutput): void {
  for (const { segments, type } of output.tracks) {
    for (const [index, { msn, parts, isComplete }] of segments.entries()) {
      if (index > 0) assert.equal(msn, segments[index - 1]!.msn + 1);
      assert.ok(isComplete || index === segments.length - 1);
      for (const { file, durationMs } of parts)
        assert.ok(file.size >= (type === "subtitle" ? 50 : 104) && durationMs > 0);
    }
  }
}
