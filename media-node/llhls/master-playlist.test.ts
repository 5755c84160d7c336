import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, newStream, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import type { Playlist, Rendition, Track } from "../core/track.ts";
import { silentLogger } from "../flow/logger.ts";
import { masterPlaylist, variantsOf } from "./master-playlist.ts";
import { PlaylistTexts } from "./playlist-texts.ts";
import { StreamOutput } from "./stream-output.ts";

const video = (id: number, name: string): Track => ({ ...videoTrack, id, name });
const audio = (id: number, name: string, language: string): Track => ({ ...audioTrack, id, name, language });
const rendition = (videoTrackName: string, audioTrackName: string, audioIndexHint = -1): Rendition => ({
  name: `${videoTrackName} ${audioTrackName}`,
  videoTrackName,
  audioTrackName,
  videoIndexHint: -1,
  audioIndexHint,
});
const playlistOf = (...renditions: Rendition[]): Playlist => ({
  name: "abr",
  fileName: "abr",
  webrtcAutoAbr: true,
  hlsChunklistPathDepth: -1,
  enableTsPackaging: false,
  renditions,
});

/** Two pictures, the second with a third of the bytes, and two sounds of one name. */
const tracks = [video(0, "720p"), video(1, "360p"), audio(2, "Sound", "de"), audio(3, "Sound", "en")];

function cut(): StreamOutput {
  const stream = newStream(tracks);
  const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  for (const sample of syntheticSamples({ durationMs: 12_000 })) {
    const ids = sample.trackId === 0 ? [0, 1] : [2, 3];
    for (const trackId of ids) {
      const data = trackId === 0 ? Buffer.concat([sample.data, Buffer.alloc(5_000, 7)]) : sample.data;
      stream.publish({ ...sample, trackId, data });
    }
  }
  return output;
}

test("renditions share their groups of sound, each name stands once, and bit rates are those measured", () => {
  const output = cut();
  const playlists = [
    playlistOf(rendition("720p", "Sound", 0), rendition("360p", "Sound", 0), rendition("360p", "Sound", 1)),
  ];
  const variants = variantsOf("abr", { playlists, tracks }, (id) => output.track(id));
  const lines = masterPlaylist(variants!, { tracks, childQuery: "session=x" }).split("\n");
  const media = lines.filter((line) => line.startsWith("#EXT-X-MEDIA"));
  assert.deepEqual(
    media.map((line) => [
      /NAME="([^"]+)"/.exec(line)![1],
      /LANGUAGE="(\w+)"/.exec(line)![1],
      /DEFAULT=(\w+)/.exec(line)![1],
    ]),
    [
      ["Sound", "de", "YES"],
      ["Sound_3", "en", "NO"],
    ],
  );
  assert.ok(media.every((line) => line.includes('GROUP-ID="audio_aac"') && !line.includes("FORCED")));
  const streams = lines.filter((line) => line.startsWith("#EXT-X-STREAM-INF"));
  assert.equal(streams.length, 3);
  for (const [index, line] of streams.entries()) {
    const [picture, sound] = [output.track(index === 0 ? 0 : 1)!, output.track(index === 2 ? 3 : 2)!];
    const sizes = picture.segments
      .filter(({ isComplete }) => isComplete)
      .map(({ parts, durationMs }) => {
        return (parts.reduce((sum, { file }) => sum + file.size, 0) * 8_000) / durationMs;
      });
    const bandwidth = Number(/[:,]BANDWIDTH=(\d+)/.exec(line)![1]);
    assert.ok(bandwidth >= Math.max(...sizes) && bandwidth <= Math.max(...sizes) + 2 * sound.bitrate.peak, line);
    assert.match(line, /AUDIO="audio_aac"/);
    assert.match(line, /CODECS="avc1\.\w{6},mp4a\.40\.2"/);
  }
  assert.ok(Number(/BANDWIDTH=(\d+)/.exec(streams[0]!)![1]) > 2 * Number(/BANDWIDTH=(\d+)/.exec(streams[1]!)![1]));
});

test("a list reports on the others of its kind, and on them alone, up to their last part", () => {
  const output = cut();
  const texts = new PlaylistTexts({ targetSeconds: 4, partHoldBackMs: 600, hasPreloadHint: true });
  const wanted = { isDelta: false, isLegacy: false, isRewind: false };
  for (const [id, otherId] of [
    [0, 1],
    [1, 0],
    [2, 3],
    [3, 2],
  ] as const) {
    const other = output.track(otherId)!;
    const last = other.segments.findLast(({ parts }) => parts.length > 0)!;
    const text = texts.media(output, output.track(id)!, wanted).plain.toString();
    assert.deepEqual(
      text.split("\n").filter((line) => line.startsWith("#EXT-X-RENDITION-REPORT")),
      [`#EXT-X-RENDITION-REPORT:URI="${other.playlistUri}",LAST-MSN=${last.msn},LAST-PART=${last.parts.length - 1}`],
    );
  }
});
