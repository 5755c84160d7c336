import assert from "node:assert/strict";
import { test } from "node:test";
import { serializeAacConfig } from "../codecs/aac.ts";
import { audioTrack, newStream, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import type { Sample } from "../core/sample.ts";
import { silentLogger } from "../flow/logger.ts";
import { outputTrackOf } from "./cmaf-track-of.ts";
import { isGap, type MediaSegment } from "./media-segment.ts";
import { mediaPlaylist } from "./media-playlist.ts";
import { fillerOf } from "./silence-filler.ts";
import { StreamOutput } from "./stream-output.ts";

const all = syntheticSamples({ durationMs: 40_000 });
const isSound = ({ trackId }: Sample): boolean => trackId === audioTrack.id;
const secondsOf = ({ dts }: Sample): number => dts / audioTrack.timescale;

/** The sound segments that an edge listed as whole, by name. */
function soundOf(samples: readonly Sample[]): Map<string, MediaSegment> {
  const stream = newStream([videoTrack, audioTrack], 0);
  const seen = new Map<string, MediaSegment>();
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, {
    ...options,
    onProgress: () => {
      for (const segment of output.track(audioTrack.id)?.segments ?? [])
        if (segment.isComplete) seen.set(segment.uri, segment);
    },
  });
  output.start();
  for (const sample of samples) stream.publish(sample);
  return seen;
}

const bytesOf = ({ parts }: MediaSegment): Buffer[] => parts.map(({ file }) => Buffer.concat([...file.pieces]));

/** Every segment follows the one before, and is as long as the pictures of its number. */
function assertWhole(segments: readonly MediaSegment[]): void {
  assert.ok(segments.length >= 15, `${segments.length} segments`);
  for (const [index, segment] of segments.entries()) {
    assert.ok(!isGap(segment), segment.uri);
    const before = segments[index - 1];
    const endMs = before && before.startMs + before.durationMs;
    // Two frames of sound, and the cutting of pictures at 40 ms.
    assert.ok(endMs === undefined || Math.abs(segment.startMs - endMs) < 1, `${segment.uri} at ${segment.startMs}`);
    assert.ok(index === 0 || Math.abs(segment.durationMs - 2_000) < 45, `${segment.uri} lasts ${segment.durationMs}`);
  }
}

test("sound that stops for eleven seconds is silent, and every edge makes the same bytes of it", () => {
  const broken = all.filter((sample) => !isSound(sample) || secondsOf(sample) < 9.3 || secondsOf(sample) >= 20.7);
  const first = soundOf(broken);
  assertWhole([...first.values()]);
  // One joins while there is sound, one when it has been gone for long.
  for (const joinedMs of [5_000, 15_000]) {
    const at = broken.findIndex((sample) => !isSound(sample) && sample.isKeyframe && sample.dts >= joinedMs * 90);
    const joined = [...soundOf(broken.slice(at)).values()].filter(({ isCanonical }) => isCanonical);
    assert.ok(joined.length >= 10);
    for (const segment of joined) assert.deepEqual(bytesOf(segment), bytesOf(first.get(segment.uri)!), segment.uri);
  }
});

test("sound that begins late, or never, does not keep anybody waiting", () => {
  assertWhole([...soundOf(all.filter((sample) => !isSound(sample) || secondsOf(sample) >= 15.2)).values()]);
  assertWhole([...soundOf(all.filter((sample) => !isSound(sample))).values()]);
});

test("sound that always comes three seconds behind the pictures is waited for after the first time", () => {
  const late = all.map((sample, index) => ({ sample, index, at: sample.dts / (isSound(sample) ? 48 : 90) }));
  late.sort(
    (a, b) => a.at + (isSound(a.sample) ? 3_000 : 0) - b.at - (isSound(b.sample) ? 3_000 : 0) || a.index - b.index,
  );
  const sound = [...soundOf(late.map(({ sample }) => sample)).values()];
  assertWhole(sound);
  // From the sixth second on all of it is the source's own.
  const inTime = soundOf(all);
  const own = sound.filter(({ startMs, isCanonical }) => isCanonical && startMs > 6_000);
  assert.ok(own.length >= 12, `${own.length} segments`);
  for (const segment of own) assert.deepEqual(bytesOf(segment), bytesOf(inTime.get(segment.uri)!), segment.uri);
});

test("sound of which no silent frame is known, or whose clock cannot tell two frames apart, is left as it comes", () => {
  const configOf = (objectType: number, channels: number) =>
    serializeAacConfig({ objectType, sampleRate: 48_000, channels });
  const fillerFor = (decoderConfig: Uint8Array, timescale = 48_000): unknown =>
    fillerOf(1, outputTrackOf({ ...audioTrack, timescale, decoderConfig })!);
  assert.ok(fillerFor(configOf(2, 2)));
  assert.equal(fillerFor(configOf(2, 2), 40), undefined);
  assert.equal(fillerFor(configOf(2, 0)), undefined);
  assert.equal(fillerFor(configOf(23, 2)), undefined);
  // Frames of 960 samples, and a rate of its own.
  assert.equal(fillerFor(Uint8Array.of(0x11, 0x94)), undefined);
  assert.equal(fillerFor(Uint8Array.of(0x17, 0x80, 0, 0, 0x90, 0)), undefined);
});

test("pictures that stop with their sound leave a gap, not silence", () => {
  const outage = all.filter((sample) => {
    const ms = sample.dts / (isSound(sample) ? 48 : 90);
    return ms < 9_000 || ms >= 20_000;
  });
  const gaps = [...soundOf(outage).values()].filter(isGap);
  assert.ok(gaps.length >= 4, `${gaps.length} gaps`);
});

test("what belongs to a segment without a part yet is not listed behind the parts of the one before", () => {
  const stream = newStream([videoTrack], 0);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  const pictures = all.filter((sample) => !isSound(sample));
  for (const sample of pictures.filter(({ dts }) => dts < 9_500 * 90)) stream.publish(sample);
  const changed = Uint8Array.from(videoTrack.decoderConfig!);
  changed[3] = 1;
  stream.describe({ ...stream.description, tracks: [{ ...videoTrack, decoderConfig: changed }] }, true);
  const list = (): string =>
    mediaPlaylist(output.track(videoTrack.id)!, {
      targetSeconds: 4,
      epochMs: 0,
      isLegacy: false,
      isDelta: false,
      partHoldBackMs: 600,
      hasPreloadHint: true,
      siblings: [],
    });
  stream.publish(pictures.find(({ dts }) => dts === 10_000 * 90)!);
  assert.doesNotMatch(list(), /DISCONTINUITY/);
  for (const sample of pictures.filter(({ dts }) => dts > 10_000 * 90 && dts < 10_500 * 90)) stream.publish(sample);
  assert.match(list(), /EXT-X-DISCONTINUITY\n#EXT-X-MAP.*\n#EXT-X-PROGRAM-DATE-TIME.*\n#EXT-X-PART/);
});
