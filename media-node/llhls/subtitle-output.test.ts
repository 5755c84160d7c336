import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { parseWebVtt, serializeCueSample } from "../codecs/webvtt.ts";
import type { Sample } from "../core/sample.ts";
import { Stream } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { masterPlaylist, variantsOf } from "./master-playlist.ts";
import { isGap, type MediaSegment } from "./media-segment.ts";
import { mediaPlaylist } from "./media-playlist.ts";
import { StreamOutput } from "./stream-output.ts";
import { listedSubtitles } from "./subtitle-renditions.ts";

const subtitleTrack: Track = {
  id: 2,
  kind: "subtitle",
  codec: "webvtt",
  name: "subtitle",
  timescale: 1_000,
  bitrate: 0,
  language: "ko",
  subtitle: { label: 'Kore"an', isDefault: true, isAutoSelect: false, isForced: false },
};
const tracks = [videoTrack, audioTrack, subtitleTrack];

const cue = (startMs: number, durationMs: number, text: string, settings = ""): Sample => {
  const data = serializeCueSample({ settings, text });
  return { trackId: 2, pts: startMs, dts: startMs, duration: durationMs, isKeyframe: true, data };
};

const newStream = (used: readonly Track[] = tracks, recent: readonly Sample[] = []): Stream =>
  new Stream({ vhost: "default", app: "app", stream: "stream" }, describe(used), {
    clock: new ManualClock(),
    recentMs: 9_000,
    recent: { samples: recent, lastSampleMs: 0 },
  });

function cut(stream: Stream, seen = new Map<string, MediaSegment>()): StreamOutput {
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 30, streamKey: "key", logger: silentLogger };
  const output: StreamOutput = new StreamOutput(stream, {
    ...options,
    onProgress: () => {
      for (const segment of output.track(2)?.segments ?? []) if (segment.isComplete) seen.set(segment.uri, segment);
    },
  });
  output.start();
  return output;
}

/** Media with a cue before the sample at which each is to be known. */
function withCues(samples: readonly Sample[], cues: readonly (readonly [knownMs: number, Sample])[]): Sample[] {
  const left = [...cues];
  return samples.flatMap((sample) => {
    const timeMs = sample.dts / (sample.trackId === 0 ? 90 : 48);
    const due = left.filter(([knownMs]) => knownMs <= timeMs);
    left.splice(0, left.length, ...left.filter(([knownMs]) => knownMs > timeMs));
    return [...due.map(([, known]) => known), sample];
  });
}

const bytesOf = ({ parts, uri }: MediaSegment, output: StreamOutput): unknown => [
  uri,
  Buffer.from(output.track(2)!.file(uri)!.pieces[0]!).toString(),
  parts.map((part) => [part.uri, part.durationMs, Buffer.from(part.file.pieces[0]!).toString()]),
];
const textsIn = (bytes: Uint8Array): string[] => parseWebVtt(bytes).cues.map(({ text }) => text);

test("subtitles have the segments and parts of the picture: numbers, times, breaks and gaps", () => {
  const stream = newStream();
  const output = cut(stream);
  for (const sample of syntheticSamples({
    durationMs: 10_000,
    reorder: (index) => [3_600, 10_800, 3_600, 0][index % 4]!,
  }))
    stream.publish(sample);
  for (const sample of syntheticSamples({ durationMs: 4_000, startMs: 17_000 })) stream.publish(sample);
  const decoderConfig = Uint8Array.from(videoTrack.decoderConfig!);
  decoderConfig[3] = 0x1e;
  stream.describe(describe([{ ...videoTrack, decoderConfig }, audioTrack, subtitleTrack]), true);
  for (const sample of syntheticSamples({ durationMs: 5_000, startMs: 21_000 })) stream.publish(sample);
  stream.close({ code: "test" });
  const video = output.track(0)!;
  const subtitles = output.track(2)!;
  const shape = ({
    msn,
    startMs,
    durationMs,
    discontinuities,
    isCanonical,
    isComplete,
    parts,
    ...rest
  }: MediaSegment) => {
    const partMs = parts.map((part) => part.durationMs);
    return {
      msn,
      startMs,
      durationMs,
      discontinuities,
      isCanonical,
      isComplete,
      partMs,
      isGap: isGap({ ...rest, parts, isComplete }),
    };
  };
  assert.deepEqual(subtitles.segments.map(shape), video.segments.map(shape));
  assert.ok(subtitles.segments.some(isGap) && subtitles.segments.some(({ discontinuities }) => discontinuities > 0));
  assert.equal(subtitles.discontinuitySequence, video.discontinuitySequence);
  assert.ok(subtitles.isEnded);
  const options = { targetSeconds: 4, partHoldBackMs: 630, epochMs: 0, siblings: [], hasPreloadHint: true };
  const text = mediaPlaylist(subtitles, { ...options, isLegacy: false, isDelta: false });
  assert.ok(!text.includes("EXT-X-MAP"), "texts have no init segment");
  const named = mediaPlaylist(video, { ...options, isLegacy: false, isDelta: false })
    .replaceAll(/#EXT-X-MAP.*\n/g, "")
    .replaceAll(/(seg|part)_0_([\d_]+)_video_([\w-]+)_llhls\.m4s/g, "$1_2_$2_subtitle_$3_llhls.vtt")
    .replaceAll(",INDEPENDENT=YES", "");
  assert.equal(text.replaceAll(",INDEPENDENT=YES", ""), named);
});

test("a cue is in every part and segment during which it is shown, with its whole times", () => {
  const stream = newStream();
  const output = cut(stream);
  const samples = syntheticSamples({ durationMs: 12_000 });
  const cues = [
    [0, cue(2_500, 500, "short", "line:10%")],
    [1_000, cue(3_900, 2_500, "long")],
    [1_000, cue(9_000, 100, "early")],
  ] as const;
  for (const sample of withCues(samples, cues)) stream.publish(sample);
  const subtitles = output.track(2)!;
  const segment = (msn: number): MediaSegment => subtitles.segmentAt(msn)!;
  const shown = (msn: number): string[] => textsIn(subtitles.file(segment(msn).uri)!.pieces[0]!);
  assert.deepEqual([1, 2, 3, 4].map(shown), [["short", "long"], ["long"], ["long"], ["early"]]);
  assert.deepEqual(
    segment(1).parts.map(({ file }) => textsIn(file.pieces[0]!).join()),
    ["", "", "short", "short", "short", "", "", "", "", "long"],
  );
  const [first] = parseWebVtt(subtitles.file(segment(3).uri)!.pieces[0]!).cues;
  assert.deepEqual(first, { startMs: 3_900, endMs: 6_400, settings: "", text: "long" });
});

test("a cue that comes late is in the next part, and one that nobody understands is counted", () => {
  const stream = newStream();
  const output = cut(stream);
  const samples = syntheticSamples({ durationMs: 6_000 });
  const late = cue(2_250, 100, "late");
  for (const sample of withCues(samples, [
    [3_010, late],
    [3_010, { ...late, data: Buffer.from("\n") }],
  ]))
    stream.publish(sample);
  const { parts, uri } = output.track(2)!.segmentAt(1)!;
  assert.deepEqual(
    parts.map(({ file }) => textsIn(file.pieces[0]!).join()),
    ["", "", "", "", "", "late", "", "", "", ""],
  );
  assert.deepEqual(textsIn(output.track(2)!.file(uri)!.pieces[0]!), ["late"]);
});

test("edges that join at different moments write the same bytes, also of cues that began before they joined", () => {
  const cues = [
    [500, cue(700, 14_000, "for long")],
    [4_100, cue(6_000, 900, "ahead")],
    [9_300, cue(9_300, 2_000, "now")],
    [9_400, cue(9_000, 300, "late")],
    [13_000, cue(13_000, 30_000, "the last")],
  ] as const;
  const samples = withCues(syntheticSamples({ durationMs: 24_000 }), cues);
  const whole = newStream();
  const first = new Map<string, MediaSegment>();
  const firstOutput = cut(whole, first);
  const joined: { output: StreamOutput; seen: Map<string, MediaSegment>; stream: Stream }[] = [];
  for (const [index, sample] of samples.entries()) {
    if (index % 311 === 200) {
      const stream = newStream(tracks, whole.recentSamples(6_000));
      const seen = new Map<string, MediaSegment>();
      joined.push({ output: cut(stream, seen), seen, stream });
    }
    whole.publish(sample);
    for (const { stream } of joined) stream.publish(sample);
  }
  assert.ok(joined.length >= 4);
  for (const { output, seen } of joined) {
    const canonical = [...seen.values()].filter(({ isCanonical }) => isCanonical);
    assert.ok(canonical.length >= 3);
    for (const segment of canonical)
      assert.deepEqual(bytesOf(segment, output), bytesOf(first.get(segment.uri)!, firstOutput));
  }
});

test("a master lists what its origin says how to list, and what of others had a cue", () => {
  const plain: Track = { id: 3, kind: "subtitle", codec: "webvtt", name: "subtitle", timescale: 1_000, bitrate: 0 };
  const forced: Track = {
    ...plain,
    id: 4,
    subtitle: { label: 'Kore"an', isDefault: true, isAutoSelect: false, isForced: true, exceptPlaylists: ["small"] },
  };
  const used = [...tracks, plain, forced];
  const stream = newStream(used);
  const output = cut(stream);
  for (const sample of syntheticSamples({ durationMs: 5_000 })) stream.publish(sample);
  const master = (playlist: string): string[] => {
    const variants = variantsOf("llhls", describe(used), (id) => output.track(id))!;
    const subtitles = listedSubtitles(output, playlist, used);
    const text = masterPlaylist(variants, { tracks: used, childQuery: "session=x", subtitles });
    return text.split("\n").filter((line) => line.includes("SUBTITLES"));
  };
  const [korean, second, variant, ...more] = master("llhls");
  const rest = 'URI="chunklist_2_subtitle_key_llhls.m3u8?session=x"';
  assert.equal(
    korean,
    `#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitle",NAME="Korean",DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,LANGUAGE="ko",${rest}`,
  );
  assert.match(second!, /NAME="Korean_4",DEFAULT=NO,AUTOSELECT=NO,FORCED=YES,URI=/);
  assert.match(variant!, /^#EXT-X-STREAM-INF:.*,SUBTITLES="subtitle"$/);
  assert.deepEqual(more, []);
  assert.equal(master("small").length, 2);
  stream.publish({ ...cue(5_000, 100, "x"), trackId: 3 });
  assert.equal(master("small").length, 3, "the first cue shows that this origin sends some");
});

test("a subtitle track without a cue keeps nobody waiting, and one alone is nothing to play", () => {
  const stream = newStream();
  const output = cut(stream);
  for (const sample of syntheticSamples({ durationMs: 4_200 })) stream.publish(sample);
  assert.ok(output.isPlayable);
  const alone = cut(newStream([subtitleTrack]));
  assert.ok(!alone.isDeliverable);
});
