import assert from "node:assert/strict";
import { test } from "node:test";
import {
  audioTrack,
  describe,
  newStream,
  syntheticSamples,
  videoTrack,
  type SyntheticOptions,
} from "../../test/support/synthetic-media.ts";
import type { Sample } from "../core/sample.ts";
import { Stream } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { silentLogger } from "../flow/logger.ts";
import { isGap, type MediaSegment } from "./media-segment.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { StreamOutput } from "./stream-output.ts";

const segmentMs = 2_000;
const tracks = [videoTrack, audioTrack];

/** One edge, and every complete segment it ever listed, by file name. */
interface Edge {
  readonly output: StreamOutput;
  readonly feed: (samples: readonly Sample[]) => void;
  readonly seen: Map<string, MediaSegment>;
  readonly msns: Map<number, number[]>;
}

function edge(usedTracks = tracks, epochMs = 0): Edge {
  const stream = newStream(usedTracks, epochMs);
  const seen = new Map<string, MediaSegment>();
  const msns = new Map<number, number[]>();
  const output = new StreamOutput(stream, {
    segmentMs,
    partMs: 200,
    segmentCount: 10,
    streamKey: "key",
    logger: silentLogger,
    onProgress: () => collect(output, seen, msns),
  });
  output.start();
  return { output, seen, msns, feed: (samples) => samples.forEach((sample) => stream.publish(sample)) };
}

function collect(output: StreamOutput, seen: Map<string, MediaSegment>, msns: Map<number, number[]>): void {
  for (const track of output.tracks) {
    const list = msns.get(track.trackId) ?? [];
    msns.set(track.trackId, list);
    for (const segment of track.segments) {
      if (list.at(-1) === undefined || segment.msn > list.at(-1)!) list.push(segment.msn);
      if (segment.isComplete) seen.set(segment.uri, segment);
    }
  }
}

const seeded = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};

/** Key frames at irregular distances of 0.3 to 7 s, the same for every edge. */
const irregularKeys = (() => {
  const random = seeded(7);
  const keys = new Set<number>();
  for (let index = 0; index < 4_000; index += 8 + Math.floor(random() * 170)) keys.add(index);
  return keys;
})();
const irregularFrames = Array.from({ length: 8_000 }, seeded(3)).map((x) => 15 + Math.floor(x * 90));

const sources: Record<string, SyntheticOptions> = {
  "a key frame every second": { durationMs: 60_000 },
  "key frames further apart than a segment": { durationMs: 60_000, isKeyframe: (index) => index % 175 === 0 },
  "key frames at changing distances": { durationMs: 60_000, isKeyframe: (index) => irregularKeys.has(index) },
  "29.97 Hz drifting over the grid": {
    durationMs: 60_000,
    startMs: 1_950_000,
    frameMs: () => 1001 / 30,
    isKeyframe: (index) => index % 60 === 0,
  },
  "a variable frame rate": { durationMs: 60_000, frameMs: (index) => irregularFrames[index]! },
  "B-frames": { durationMs: 60_000, reorder: (index) => [3_600, 10_800, 3_600, 0][index % 4]! },
  "times since 1970": { durationMs: 60_000, startMs: 1_763_800_000_123 },
  "audio alone": { durationMs: 60_000, hasVideo: false },
  "video alone": { durationMs: 60_000, hasAudio: false },
};

for (const [name, options] of Object.entries(sources)) {
  const used = tracks.filter((track) => (track.kind === "video" ? options.hasVideo : options.hasAudio) ?? true);

  test(`edges that join at different moments agree on every name and byte: ${name}`, () => {
    const samples = syntheticSamples(options);
    const first = edge(used);
    first.feed(samples);
    const starts = samples.flatMap((sample, at) => (sample.trackId === used[0]!.id && sample.isKeyframe ? [at] : []));
    for (const at of starts.filter((_, index) => index % 5 === 1).slice(0, 8)) {
      const second = edge(used);
      second.feed(samples.slice(at));
      let compared = 0;
      for (const [uri, segment] of second.seen) {
        if (!segment.isCanonical) continue;
        const other = first.seen.get(uri);
        assert.ok(other, `${uri} is known to both`);
        assert.deepEqual(contentOf(segment), contentOf(other));
        compared++;
      }
      assert.ok(compared > 0, "something was compared");
    }
  });

  test(`numbers neither skip nor go back, and times join up: ${name}`, () => {
    const only = edge(used);
    only.feed(syntheticSamples(options));
    for (const track of only.output.tracks) {
      const msns = only.msns.get(track.trackId)!;
      assert.ok(msns.length >= 28, `${msns.length} segments`);
      assert.deepEqual(
        msns,
        msns.map((_, index) => msns[0]! + index),
      );
      let endMs: number | undefined;
      for (const segment of [...only.seen.values()].filter(({ uri }) => uri.includes(`seg_${track.trackId}_`))) {
        assert.ok(segment.durationMs < 2 * segmentMs, `${segment.durationMs} ms`);
        assert.ok(segment.parts.every((part) => part.durationMs <= 210));
        assert.ok(!isGap(segment));
        if (endMs !== undefined) assert.ok(Math.abs(segment.startMs - endMs) < 1, `${segment.startMs} after ${endMs}`);
        endMs = segment.startMs + segment.durationMs;
      }
    }
  });

  // With one track there is nothing to compare.
  if (used.length < 2) continue;
  test(`audio segments begin with video's: ${name}`, () => {
    const only = edge(used);
    only.feed(syntheticSamples(options));
    const [video, audio] = only.output.tracks;
    for (const segment of video!.segments) {
      const other = audio!.segments.find(({ msn }) => msn === segment.msn);
      if (!other?.isComplete) continue;
      const offMs = other.startMs - segment.startMs;
      assert.ok(offMs >= 0 && offMs < 1024 / 48 + 0.001, `${offMs} ms apart`);
    }
  });
}

function contentOf(segment: MediaSegment): unknown {
  const { msn, startMs, durationMs, initUri, parts } = segment;
  return {
    msn,
    startMs,
    durationMs,
    initUri,
    parts: parts.map(({ uri, durationMs, isIndependent, file }) => [
      uri,
      durationMs,
      isIndependent,
      [...file.pieces[0]!],
    ]),
  };
}

test("an edge agrees again after it lost samples", () => {
  const samples = syntheticSamples({ durationMs: 30_000 });
  const whole = edge();
  whole.feed(samples);
  const lossy = edge();
  lossy.feed(samples.filter((_, index) => index < 400 || index > 430));
  const isHurt = [...lossy.seen].filter(([uri, segment]) => {
    const other = whole.seen.get(uri);
    return other && JSON.stringify(contentOf(other)) !== JSON.stringify(contentOf(segment));
  });
  assert.deepEqual(new Set(isHurt.map(([, { msn }]) => msn)).size, 1);
});

test("a silence of the source keeps the numbers of the clock and lists gaps", () => {
  const only = edge();
  only.feed(syntheticSamples({ durationMs: 10_000 }));
  only.feed(syntheticSamples({ durationMs: 10_000, startMs: 17_000 }));
  for (const track of only.output.tracks) {
    const segments = [...only.seen.values()].filter(({ uri }) => uri.includes(`seg_${track.trackId}_`));
    assert.deepEqual(
      segments.map(({ msn }) => msn),
      segments.map((_, index) => index),
    );
    assert.deepEqual(
      segments.filter(isGap).map(({ msn }) => msn),
      [5, 6, 7],
    );
  }
});

test("goes on with audio when video falls silent, and with video when it is back", () => {
  const samples = syntheticSamples({ durationMs: 40_000 });
  const only = edge();
  only.feed(samples.filter(({ trackId, dts }) => trackId === 1 || dts < 10_000 * 90 || dts > 25_000 * 90));
  const [video, audio] = only.output.tracks;
  assert.ok(video!.lastCompleteMsn! >= 18 && audio!.lastCompleteMsn! >= 17);
  const audioGaps = [...only.seen.values()].filter((segment) => segment.uri.includes("audio") && isGap(segment));
  assert.deepEqual(audioGaps, []);
  const videoGaps = [...only.seen.values()].filter((segment) => segment.uri.includes("video") && isGap(segment));
  assert.ok(videoGaps.length >= 6 && videoGaps.length <= 8, `${videoGaps.length} segments without video`);
});

test("a change of parameters is a discontinuity with the next number and another init segment", () => {
  const stream = newStream(tracks);
  const options = { segmentMs, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  for (const sample of syntheticSamples({ durationMs: 9_000 })) stream.publish(sample);
  const decoderConfig = Uint8Array.from(videoTrack.decoderConfig!);
  decoderConfig[3] = 0x1e;
  stream.describe(describe([{ ...videoTrack, decoderConfig }, audioTrack]), true);
  for (const sample of syntheticSamples({ durationMs: 9_000, startMs: 9_000 })) stream.publish(sample);
  for (const track of output.tracks) {
    const msns = track.segments.map(({ msn }) => msn);
    assert.deepEqual(
      msns,
      msns.map((_, index) => msns[0]! + index),
    );
    assert.deepEqual(
      track.segments.filter((segment) => segment.discontinuities > 0).map(({ msn }) => msn),
      [5],
    );
  }
  const inits = new Set(output.track(0)!.segments.map(({ initUri }) => initUri));
  assert.equal(inits.size, 2);
});

/** Discontinuity sequence numbers of segments with media, as a player reckons them from the list. */
function sequenceNumbers(output: StreamOutput): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const track of output.tracks) {
    let number = track.discontinuitySequence;
    for (const segment of track.segments) {
      number += segment.discontinuities;
      if (!isGap(segment)) numbers.set(segment.uri, number);
    }
  }
  return numbers;
}

test("however many breaks an origin claims, a list names sixteen of them before a segment, also where its tracks are the same", () => {
  const later = { ...videoTrack, decoderConfig: Uint8Array.from(videoTrack.decoderConfig!).fill(9, 3, 4) };
  for (const video of [videoTrack, later]) {
    const stream = newStream(tracks);
    const options = { segmentMs, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
    const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
    output.start();
    for (const sample of syntheticSamples({ durationMs: 6_000 })) stream.publish(sample);
    const claimed = { ...describe([video, audioTrack]), discontinuities: 2 ** 31 - 1 };
    stream.describe({ ...claimed, originId: stream.description.originId }, video === later);
    for (const sample of syntheticSamples({ durationMs: 6_000, startMs: 6_000 })) stream.publish(sample);
    for (const { segments } of output.tracks)
      assert.deepEqual(
        segments.map(({ discontinuities }) => discontinuities).filter((count) => count > 0),
        [16],
      );
  }
});

test("an edge that joins after discontinuities counts them as those that saw them, and as one that missed some", () => {
  const changed = (round: number): Track => {
    const decoderConfig = Uint8Array.from(videoTrack.decoderConfig!);
    decoderConfig[3] = round;
    return { ...videoTrack, decoderConfig };
  };
  const cut = (stream: Stream): StreamOutput => {
    const options = { segmentMs, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
    const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
    output.start();
    return output;
  };
  const [origin, away] = [newStream(tracks), newStream(tracks)];
  const [seeing, missing] = [cut(origin), cut(away)];
  for (let round = 0; round < 4; round++) {
    // The second lost its origin before the second change, and is back after the third.
    if (round > 0) origin.describe(describe([changed(round), audioTrack]), true);
    if (round === 1 || round === 3) away.describe(origin.description, true);
    for (const sample of syntheticSamples({ durationMs: 6_000, startMs: round * 6_000 })) {
      origin.publish(sample);
      if (round !== 2) away.publish(sample);
    }
  }
  assert.equal(origin.description.discontinuities, 3);
  assert.equal(away.description.discontinuities, 3);
  const joined = new Stream(origin.name, origin.description, { clock: new ManualClock() });
  const joining = cut(joined);
  for (const sample of syntheticSamples({ durationMs: 12_000, startMs: 24_000 })) {
    for (const stream of [origin, away, joined]) stream.publish(sample);
  }
  const seen = sequenceNumbers(seeing);
  for (const output of [joining, missing]) {
    let compared = 0;
    for (const [uri, number] of sequenceNumbers(output)) {
      if (!seen.has(uri)) continue;
      assert.equal(number, seen.get(uri), uri);
      compared++;
    }
    assert.ok(compared >= 6, `${compared} segments in both`);
  }
  const last = [...sequenceNumbers(joining).values()].at(-1);
  assert.equal(last, 3);
});

test("the end completes the last segment and marks the list", () => {
  const only = edge();
  only.feed(syntheticSamples({ durationMs: 5_000 }));
  only.output.stream.close({ code: "test" });
  for (const track of only.output.tracks) {
    assert.ok(track.isEnded);
    assert.ok(track.segments.every((segment) => segment.isComplete));
  }
});

test("a picture that was announced and never comes does not keep the sound waiting; when it comes it leads", () => {
  const samples = syntheticSamples({ durationMs: 30_000 });
  const only = edge();
  only.feed(samples.filter(({ trackId, dts }) => trackId === 1 && dts < 9_000 * 48));
  assert.ok(only.output.isPlayable);
  const [video, audio] = only.output.tracks;
  assert.equal(video!.lastCompleteMsn, undefined);
  assert.ok(audio!.lastCompleteMsn! >= 3);
  only.feed(samples.filter(({ trackId, dts }) => dts >= 9_000 * (trackId === 1 ? 48 : 90)));
  assert.ok(video!.lastCompleteMsn! >= 12 && audio!.lastCompleteMsn! >= 12);
  assert.equal(audio!.segments.filter(({ discontinuities }) => discontinuities > 0).length, 1);
});

test("sound that comes a moment after the pictures is waited for, though a cell ends just after a key frame was due", () => {
  const samples = syntheticSamples({ durationMs: 6_000, isKeyframe: (index) => index % 100 === 0 });
  const only = edge();
  only.feed(samples.filter(({ trackId, dts }) => dts < (trackId === 0 ? 4_100 * 90 : 3_500 * 48)));
  const [video, audio] = only.output.tracks;
  assert.deepEqual(
    video!.segments.map(({ isComplete, durationMs }) => [isComplete, Math.round(durationMs)]),
    [
      [true, 3_960],
      [true, 40],
      [false, 0],
    ],
  );
  assert.deepEqual([audio!.lastCompleteMsn, only.output.isPlayable], [undefined, false]);
  only.feed(samples.filter(({ trackId, dts }) => trackId === 1 && dts >= 3_500 * 48 && dts < 4_100 * 48));
  assert.deepEqual([audio!.lastCompleteMsn, only.output.isPlayable], [1, true]);
});

test("what another edge joined in its middle is found in the whole of it", () => {
  const samples = syntheticSamples({ durationMs: 16_000 });
  const whole = edge();
  const joined = edge();
  whole.feed(samples);
  joined.feed(samples.filter(({ trackId, dts }) => dts >= 5_000 * (trackId === 0 ? 90 : 48)));
  for (const [index, track] of joined.output.tracks.entries()) {
    const marked = track.segments[0]!;
    assert.equal(marked.isCanonical, false);
    const other = whole.output.tracks[index]!;
    assert.equal(other.file(marked.uri), undefined);
    const same = other.segmentAt(marked.msn)!;
    assert.equal(other.canonicalOf(marked.msn, undefined, marked.key), same.uri);
    const found = marked.parts.map((_, part) => other.canonicalOf(marked.msn, part, marked.key)!);
    const at = found.map((uri) => same.parts.findIndex((part) => part.uri === uri));
    // One after another without a hole, from the part that holds the moment of joining on.
    assert.deepEqual(
      at,
      at.map((_, part) => Math.min(at[0]! + part, same.parts.length - 1)),
    );
    assert.ok(at[0]! >= 4 && at[0]! <= 5, `from part ${at[0]}`);
  }
});

test("a segment joined in its middle leaves the list when three target durations stand without it, and is still served", () => {
  const samples = syntheticSamples({ durationMs: 30_000 });
  const { output, feed } = edge();
  const first = () => output.track(videoTrack.id)!.segments[0]!;
  let at = samples.findIndex(({ dts, trackId }) => trackId === videoTrack.id && dts >= 90_000 * 0.7);
  const listedMs = (): number =>
    output.track(videoTrack.id)!.segments.reduce((sum, { durationMs }) => sum + durationMs, 0);
  while (output.track(videoTrack.id)?.segments[0] === undefined) feed([samples[at++]!]);
  const marked = first();
  assert.equal(marked.isCanonical, false);
  while (first() === marked) feed([samples[at++]!]);
  assert.equal(first().msn, marked.msn + 1);
  assert.equal(first().isCanonical, true);
  assert.ok(listedMs() >= 12_000 && listedMs() < 15_000, `${listedMs()} ms are left`);
  assert.ok(output.track(videoTrack.id)!.file(marked.uri), "who read the list a moment ago may still want it");
});
