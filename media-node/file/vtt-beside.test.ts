import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseCueSample } from "../codecs/webvtt.ts";
import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import { ProtocolError } from "../flow/errors.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { openLoopSource } from "./loop-source.ts";

const clipPath = join(import.meta.dirname, "../../infra/laptop/loop.mp4");
const signal = new AbortController().signal;
const noFile = (): never => {
  throw Object.assign(new Error("none"), { code: "ENOENT" });
};

/** The repository's clip of 16 s under another name, beside it a subtitle file. */
const opener = (clock: ManualClock, vtt: string | undefined) =>
  openLoopSource({
    clock,
    readFile: async (path) => {
      if (path === "/clips/a.b/clip.mp4") return new Uint8Array(await readFile(clipPath));
      return path === "/clips/a.b/clip.vtt" && vtt !== undefined ? new Uint8Array(Buffer.from(vtt)) : noFile();
    },
  })("file:///clips/a.b/clip.mp4", { signal });

const vtt = `WEBVTT
Language: en
Label: English

00:00.000 --> 00:02.000
start

00:07.000 --> 00:12.000 line:10%
middle

00:15.500 --> 00:40.000
end

00:20.000 --> 00:21.000
never
`;

async function play(startMs: number, forMs: number): Promise<{ times: unknown[]; samples: Sample[] }> {
  const clock = new ManualClock(hearthEpochMs + startMs);
  const source = await opener(clock, vtt);
  const samples: Sample[] = [];
  source.start({ onSample: (sample) => samples.push(sample), onDescription() {}, onEnd: () => assert.fail("ended") });
  for (let ms = 0; ms < forMs; ms += 10) clock.advance(10);
  await source.close({ code: "done" });
  const cues = samples.filter(({ trackId }) => trackId === 3);
  return {
    times: cues.map(({ pts, duration, data }) => [pts - 160_000, duration, parseCueSample(data)?.text]),
    samples,
  };
}

test("subtitles beside a clip are a track of its stream, in each round, ahead of their time and before pictures they belong to", async () => {
  const source = await opener(new ManualClock(hearthEpochMs), vtt);
  const track = source.description.tracks.at(-1)!;
  assert.deepEqual([track.id, track.kind, track.language, track.subtitle!.label], [3, "subtitle", "en", "English"]);
  // From 3 s before the end of a round: what is sent at first reaches 4 s back.
  const { times, samples } = await play(173_000, 20_000);
  assert.deepEqual(times, [
    [7_000, 5_000, "middle"],
    [15_500, 500, "end"],
    [16_000, 2_000, "start"],
    [23_000, 5_000, "middle"],
    [31_500, 500, "end"],
    [32_000, 2_000, "start"],
  ]);
  for (const [index, cue] of samples.entries()) {
    if (cue.trackId !== 3) continue;
    const before = samples.slice(0, index).filter(({ trackId }) => trackId === 0);
    assert.ok(
      before.every(({ pts }) => pts / 90 < cue.pts || cue.pts === 167_000),
      "no picture of its time came before",
    );
  }
});

test("who enters the clip while a cue is shown gets it first, the same as those before", async () => {
  const { times, samples } = await play(174_000, 100);
  assert.deepEqual(times, [[7_000, 5_000, "middle"]]);
  assert.equal(samples[0]!.trackId, 3);
});

test("a clip without subtitles is as it was, and a file that is none is told", async () => {
  const source = await opener(new ManualClock(hearthEpochMs), undefined);
  assert.equal(source.description.tracks.length, 3);
  await assert.rejects(opener(new ManualClock(hearthEpochMs), "1\n00:00:01,000 --> x"), ProtocolError);
});
