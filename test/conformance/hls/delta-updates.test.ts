// What a player makes of delta updates (RFC 8216bis §6.2.5.1): its older list and the delta are the full list.
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyDelta, knownOf } from "../../../infra/hls-check/apply-delta.ts";
import { readMediaPlaylist, type SeenPlaylist, type SeenSegment } from "../../../infra/hls-check/playlist-reader.ts";
import { silentLogger } from "../../../media-node/flow/logger.ts";
import { mediaPlaylist } from "../../../media-node/llhls/media-playlist.ts";
import { StreamOutput } from "../../../media-node/llhls/stream-output.ts";
import type { TrackOutput } from "../../../media-node/llhls/track-output.ts";
import { audioTrack, describe, newStream, syntheticSamples, videoTrack } from "../../support/synthetic-media.ts";

const targetSeconds = 4;
/** A player asks for a delta when its list is younger than half of CAN-SKIP-UNTIL. */
const oldestSeconds = 12;

/** One moment of a track, as two requests see it. */
interface Moment {
  readonly atMs: number;
  readonly full: SeenPlaylist;
  readonly delta: SeenPlaylist;
}

function momentOf(track: TrackOutput, atMs: number): Moment {
  const options = { targetSeconds, partHoldBackMs: 600, epochMs: 0, siblings: [], hasPreloadHint: true };
  const text = (isDelta: boolean): string => mediaPlaylist(track, { ...options, isLegacy: false, isDelta });
  return { atMs, full: readMediaPlaylist(text(false)), delta: readMediaPlaylist(text(true)) };
}

/** Two minutes, a silence and two changes of parameters, the second right behind a silence; looked at every 500 ms. */
function play(segmentCount: number): Moment[][] {
  const stream = newStream([videoTrack, audioTrack]);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  const moments: Moment[][] = output.tracks.map(() => []);
  let level = 0x1e;
  let nextMs = 6_000;
  for (const [fromMs, durationMs, isChange] of [
    [0, 20_000, false],
    [27_000, 19_000, false],
    [46_000, 24_000, true],
    [77_000, 43_000, true],
  ] as const) {
    const decoderConfig = Uint8Array.from(videoTrack.decoderConfig!);
    decoderConfig[3] = level++;
    if (isChange) stream.describe(describe([{ ...videoTrack, decoderConfig }, audioTrack]), true);
    for (const sample of syntheticSamples({ durationMs, startMs: fromMs })) {
      stream.publish(sample);
      const atMs = sample.dts / (sample.trackId === 0 ? 90 : 48);
      if (atMs < nextMs) continue;
      nextMs = atMs + 500;
      for (const [index, track] of output.tracks.entries()) moments[index]!.push(momentOf(track, atMs));
    }
  }
  return moments;
}

/** @returns how many segments were left out in all */
function compare(moments: readonly Moment[]): number {
  let skipped = 0;
  for (const [index, { atMs, full, delta }] of moments.entries()) {
    if (delta.skipped === 0) continue;
    const expected = knownOf(full);
    for (const older of moments.slice(0, index + 1)) {
      if (atMs - older.atMs > oldestSeconds * 1_000) continue;
      assert.deepEqual(applyDelta(older.full, delta), expected, `at ${atMs} ms, with a list of ${older.atMs} ms`);
      skipped += delta.skipped;
    }
    const lengthOf = ({ seconds, uri, parts }: SeenSegment): number =>
      uri === undefined ? parts.reduce((sum, part) => sum + part.seconds, 0) : seconds;
    const keptSeconds = delta.segments.reduce((sum, segment) => sum + lengthOf(segment), 0);
    assert.ok(keptSeconds >= 6 * targetSeconds - 0.001, `${keptSeconds} s are kept`);
    assert.equal(delta.serverControl.get("CAN-SKIP-UNTIL"), (6 * targetSeconds).toFixed(1));
    assert.ok(!delta.lines.some((line) => line.includes("DATERANGES")));
    assert.deepEqual([delta.hint, delta.mediaSequence], [full.hint, full.mediaSequence]);
  }
  return skipped;
}

test("a delta applied to an older list is the full one: across a gap, a discontinuity and a rolling window", () => {
  for (const moments of play(20)) {
    assert.ok(compare(moments) > 100);
    const left = moments.flatMap(({ full, delta }) => full.segments.slice(0, delta.skipped));
    assert.ok(left.some(({ isGap }) => isGap) && left.some(({ discontinuities }) => discontinuities > 0));
    assert.ok(moments.at(-1)!.delta.mediaSequence > 20 && moments.at(-1)!.delta.discontinuitySequence > 0);
  }
});

test("an older list without all that a delta leaves out takes none", () => {
  const [video] = play(20);
  const last = video!.at(-1)!;
  const tooOld = video!.findLast(({ full }) => full.segments.at(-1)!.msn < last.delta.segments[0]!.msn - 1)!;
  assert.equal(applyDelta(tooOld.full, last.delta), undefined);
});
