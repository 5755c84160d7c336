// Edges that joined at different moments, compared list by list and line by line at every sample: what a player sees whose
// every request goes to another of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  audioTrack,
  newStream,
  syntheticSamples,
  videoTrack,
  type SyntheticOptions,
} from "../../test/support/synthetic-media.ts";
import type { Sample } from "../core/sample.ts";
import type { StreamDescription } from "../core/stream.ts";
import { silentLogger } from "../flow/logger.ts";
import { mediaPlaylist } from "./media-playlist.ts";
import { readinessOf } from "./readiness.ts";
import { StreamOutput } from "./stream-output.ts";
import type { TrackOutput } from "./track-output.ts";

const segmentMs = 2_000;
const tracks = [videoTrack, audioTrack];

const sources: Record<string, SyntheticOptions> = {
  "a key frame every second": { durationMs: 50_000 },
  "key frames further apart than a segment": { durationMs: 50_000, isKeyframe: (index) => index % 175 === 0 },
  "29.97 Hz drifting over the grid": {
    durationMs: 50_000,
    startMs: 1_950_000,
    frameMs: () => 1001 / 30,
    isKeyframe: (index) => index % 60 === 0,
  },
  "B-frames": { durationMs: 50_000, reorder: (index) => [3_600, 10_800, 3_600, 0][index % 4]! },
  "audio alone": { durationMs: 50_000, hasVideo: false },
};

interface Edge {
  readonly output: StreamOutput;
  readonly feed: (sample: Sample) => void;
}

function edge(options: SyntheticOptions, more: Partial<StreamDescription> = {}): Edge {
  const used = tracks.filter(({ kind }) => kind === "audio" || (options.hasVideo ?? true));
  const stream = newStream(used, 0, more);
  const output = new StreamOutput(stream, {
    segmentMs,
    partMs: 200,
    segmentCount: 10,
    streamKey: "key",
    logger: silentLogger,
    onProgress: () => {},
  });
  output.start();
  return { output, feed: (sample) => stream.publish(sample) };
}

const listOf = (track: TrackOutput, isLegacy = false): string[] =>
  mediaPlaylist(track, {
    targetSeconds: 4,
    partHoldBackMs: 630,
    epochMs: 0,
    siblings: [],
    hasPreloadHint: true,
    isDelta: false,
    isLegacy,
  }).split("\n");

/** Lines that both must have alike: what follows the last gap, and the header with the number that the list begins at. */
function sharedLines(lists: readonly [string[], string[]]): readonly [string[], string[]] {
  const name = lists
    .flatMap((lines) => lines.filter((_, index) => lines[index - 2] === "#EXT-X-GAP"))
    .toSorted((a, b) => Number(a.split("_")[2]) - Number(b.split("_")[2]))
    .at(-1);
  const shared = (lines: string[]): string[] => {
    const header = lines.slice(
      0,
      lines.findIndex((line) => line.startsWith("#EXT-X-MAP")),
    );
    return [...header, ...lines.slice(name === undefined ? header.length : lines.indexOf(name) + 1)];
  };
  return [shared(lists[0]), shared(lists[1])];
}

for (const [name, options] of Object.entries(sources)) {
  test(`an edge that has five whole segments lists what older ones list, line by line: ${name}`, () => {
    const samples = syntheticSamples(options);
    const old = edge(options);
    const young = edge(options);
    const startMs = options.startMs ?? 0;
    const timeMs = ({ dts, trackId }: Sample): number => dts / (trackId === 0 ? 90 : 48) - startMs;
    let compared = 0;
    for (const sample of samples) {
      old.feed(sample);
      if (timeMs(sample) < 11_000) continue;
      young.feed(sample);
      const isShown = timeMs(sample) > 30_000;
      if (!isShown) continue;
      young.output.publish(true);
      // Each sample is a moment at which a player may change from one to the other; comparing every seventh meets all kinds.
      if (compared++ % 7 !== 0) continue;
      for (const track of young.output.tracks)
        for (const isLegacy of [false, true]) {
          const [a, b] = sharedLines([listOf(old.output.track(track.trackId)!, isLegacy), listOf(track, isLegacy)]);
          assert.deepEqual(b, a);
        }
    }
    assert.ok(compared > 400, `${compared} moments compared`);
  });

  test(`a segment's last part is listed before the segment is, and nobody waits for both: ${name}`, () => {
    const only = edge(options);
    /** Per track the newest segment listed as a whole, and the parts listed before. */
    const seen = new Map<number, { whole: number; parts: Set<string> }>();
    let wholes = 0;
    for (const sample of syntheticSamples(options)) {
      only.feed(sample);
      for (const track of only.output.tracks) {
        const { parts, whole } = seen.get(track.trackId) ?? { parts: new Set<string>(), whole: -1 };
        const lines = listOf(track);
        const listed = lines.findLast((line) => line.startsWith("seg_"));
        const msn = Number(listed?.split("_")[2] ?? -1);
        if (msn > whole && whole >= 0) {
          const last = lines.slice(0, lines.indexOf(listed!)).findLast((line) => line.startsWith("#EXT-X-PART:"));
          assert.ok(last && parts.has(last), `${listed} comes with ${last}`);
          const asked = { msn, isDelta: false, isLegacy: false, isRewind: false };
          assert.equal(readinessOf(track, asked), "now");
          assert.equal(readinessOf(track, { ...asked, msn: msn + 1 }), "later");
          wholes++;
        }
        seen.set(track.trackId, {
          whole: Math.max(whole, msn),
          parts: new Set(lines.filter((line) => line.startsWith("#EXT-X-PART:"))),
        });
      }
    }
    assert.ok(wholes >= 20, `${wholes} segments`);
  });
}

test("an edge that joins soon after a stream began lists no gaps before it, so that no list begins earlier than another", () => {
  const samples = syntheticSamples({ durationMs: 40_000 });
  const timeMs = ({ dts, trackId }: Sample): number => dts / (trackId === 0 ? 90 : 48);
  const first = edge({ durationMs: 0 });
  const young = edge({ durationMs: 0 }, { beganMs: 0 });
  let compared = 0;
  for (const sample of samples) {
    first.feed(sample);
    if (timeMs(sample) >= 5_000) young.feed(sample);
    // The first one's viewers came when it had two whole segments; the second one's come from it.
    if (timeMs(sample) < 4_500) continue;
    first.output.publish();
    if (timeMs(sample) < 13_000) continue;
    young.output.publish(true);
    if (compared++ % 7 !== 0) continue;
    for (const track of young.output.tracks) {
      const lists = [first.output.track(track.trackId)!, track].map((each) => listOf(each));
      const [a, b] = lists.map((lines) => lines.find((line) => line.startsWith("#EXT-X-MEDIA-SEQUENCE")));
      assert.equal(b, a, `at ${timeMs(sample)} ms`);
    }
  }
  assert.ok(compared > 400, `${compared} moments compared`);
});
