// The rules of RFC 8216bis and CMAF, checked on seven running streams at once: watching is waiting, not work.
// HEARTH_HLS_SECONDS watches for another time than the default.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hearthEpochMs } from "../../../media-node/core/epoch.ts";
import type { Playlist, Rendition } from "../../../media-node/core/track.ts";
import { makeClip, withSubtitles, type Clip, type ClipOptions } from "../../support/clip.ts";
import { startLlHlsNode } from "../../support/llhls-node.ts";
import { loopingSource } from "../../support/looping-source.ts";
import { judgeHls } from "../../../infra/hls-check/judge.ts";

const seconds = Number(process.env["HEARTH_HLS_SECONDS"] ?? 60);

const closed = ["-x265-params", "log-level=error:open-gop=0", "-tag:v", "hvc1", "-b:v", "500k"];
const kinds: Record<string, ClipOptions> = {
  "a key frame every second": { seconds: 10 },
  "29.97 Hz with B-frames": { seconds: 10, framerate: 30000 / 1001, gop: 60, videoArgs: ["-bf", "2"] },
  "key frames further apart than a segment": { seconds: 12, framerate: 25, gop: 75, audio: "opus" },
  "audio alone": { seconds: 10, hasVideo: false },
  "pictures alone, in H.265": { seconds: 6, video: "h265", audio: "none", videoArgs: closed },
};

/** Encoded before anybody watches: an encoder beside a viewer would take its time away. */
const clips = new Map<string, Clip>();
for (const [kind, options] of Object.entries(kinds)) clips.set(kind, await makeClip(options));
clips.set("subtitles", withSubtitles(clips.get("29.97 Hz with B-frames")!));

const ladder = "renditions of two frame rates, and sounds in two languages";
clips.set(
  ladder,
  merged(clips.get("a key frame every second")!, await makeClip({ seconds: 10, framerate: 15, size: "160x90" })),
);

/** The tracks of both, played beside each other: the second's have the ids that follow. */
function merged(first: Clip, second: Clip): Clip {
  const tracks = [...first.tracks, ...second.tracks].map((track, id) => ({
    ...track,
    id,
    name: `${track.kind}_${id}`,
    ...(track.kind === "audio" && { language: id < first.tracks.length ? "de" : "en" }),
    ...(track.kind === "video" && { video: { width: 0, height: 0, framerate: id < first.tracks.length ? 30 : 15 } }),
  }));
  const later = second.samples.map((sample) => ({ ...sample, trackId: sample.trackId + first.tracks.length }));
  const timeMs = ({ trackId, dts }: Clip["samples"][number]): number => (dts * 1_000) / tracks[trackId]!.timescale;
  return { ...first, tracks, samples: [...first.samples, ...later].sort((a, b) => timeMs(a) - timeMs(b)) };
}

const rendition = (videoTrackName: string, audioTrackName: string): Rendition => ({
  name: `${videoTrackName} ${audioTrackName}`,
  videoTrackName,
  audioTrackName,
  videoIndexHint: -1,
  audioIndexHint: -1,
});
const playlist: Playlist = {
  name: "ladder",
  fileName: "ladder",
  webrtcAutoAbr: true,
  hlsChunklistPathDepth: -1,
  enableTsPackaging: false,
  renditions: [
    rendition("video_0", "audio_1"),
    rendition("video_2", "audio_1"),
    rendition("video_0", "audio_3"),
    rendition("video_2", "audio_3"),
  ],
};

describe(`watched for ${seconds} s`, { concurrency: true }, () => {
  for (const [kind, clip] of clips) {
    test(`follows every rule with ${kind}`, { timeout: 60_000 + seconds * 2_000 }, async (t) => {
      const looping = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 });
      const open: typeof looping = async (...asked) => {
        const source = await looping(...asked);
        return { ...source, description: { ...source.description, playlists: [playlist] } };
      };
      const node = await startLlHlsNode({ open, config: { segmentCount: 20 } });
      t.after(() => node.close());
      // By a thread of its own: when this one, which serves, stands still, that is seen.
      const url = `${node.baseUrl}/app/stream/${kind === ladder ? "ladder" : "llhls"}.m3u8`;
      const { verdicts, tracks, longestReloadMs } = await judgeHls(url, seconds);
      if (kind === ladder) {
        const rates = (await (await fetch(url)).text()).match(/(?<=FRAME-RATE=)[\d.]+/g);
        assert.deepEqual(rates, ["30.000", "15.000", "30.000", "15.000"]);
      }
      t.diagnostic(`the longest reload took ${longestReloadMs.toFixed()} ms`);
      assert.equal(tracks.length, clip.tracks.length);
      for (const { rule, faults } of verdicts) assert.deepEqual(faults, [], rule);
      for (const { reloads } of tracks) assert.ok(reloads > seconds * 2, "it was watched");
    });
  }
});
