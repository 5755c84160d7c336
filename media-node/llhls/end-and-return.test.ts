import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { readMediaPlaylist, type SeenPlaylist } from "../../infra/hls-check/playlist-reader.ts";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode, type LlHlsNode } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import type { Sample } from "../core/sample.ts";
import { NoSuchStream } from "../core/source.ts";
import { ManualClock } from "../time/manual-clock.ts";

const samples = syntheticSamples({ durationMs: 60_000 });
const timeMs = ({ trackId, dts }: Sample): number => dts / (trackId === 0 ? 90 : 48);

/** A stream whose source can end, be away, and come back. */
class Show {
  readonly #clock = new ManualClock();
  #node!: LlHlsNode;
  #source: FakeSource | undefined;
  isThere = true;

  static async open(t: TestContext, segmentCount = 10): Promise<Show> {
    const show = new Show();
    const open = async (): Promise<FakeSource> => {
      if (!show.isThere) throw new NoSuchStream("nobody sends it");
      return (show.#source = new FakeSource(describe([videoTrack, audioTrack])));
    };
    show.#node = await startLlHlsNode({ open, clock: show.#clock, config: { segmentCount } });
    t.after(() => show.#node.close());
    return show;
  }

  fetch(file: string): Promise<Response> {
    return fetch(`${this.#node.baseUrl}/app/stream/${file}`);
  }

  async list(file: string): Promise<SeenPlaylist> {
    const answer = await this.fetch(file);
    assert.equal(answer.status, 200);
    return readMediaPlaylist(await answer.text());
  }

  /** Asks for the master and plays; resolves with the playlists of picture and sound. */
  async play(fromMs: number, untilMs: number): Promise<string[]> {
    const before = this.#source;
    const answer = this.fetch("llhls.m3u8");
    await until("the source to be started", 5_000, () => this.#source !== before && this.#source?.sink !== undefined);
    this.#source!.push(...samples.filter((sample) => timeMs(sample) >= fromMs && timeMs(sample) <= untilMs));
    this.#clock.advance(200);
    return [...(await (await answer).text()).matchAll(/chunklist_[^"\n?]+/g)].map(([name]) => name).sort();
  }

  async end(lists: readonly string[]): Promise<void> {
    this.#source!.end({ code: "ended" });
    await until("the end to be listed", 5_000, async () => (await this.list(lists[0]!)).isEnded);
  }
}

test("who comes after the end gets the ended lists and all that they name; a master that nobody sends is 404", async (t) => {
  const show = await Show.open(t);
  const lists = await show.play(0, 8_900);
  assert.equal(lists.length, 2);
  await show.end(lists);
  show.isThere = false;
  for (const name of lists) {
    const list = await show.list(name);
    assert.ok(list.isEnded && list.hint === undefined && list.reports.length === 0);
    assert.ok(list.segments.length >= 4 && list.segments.every(({ uri }) => uri !== undefined));
    for (const { uri, mapUri, parts } of list.segments)
      for (const file of [uri!, mapUri!, ...parts.map((part) => part.uri)])
        assert.equal((await show.fetch(file)).status, 200, file);
    // Whatever is asked for beyond it, the end is the answer, at once.
    const last = list.segments.at(-1)!.msn;
    assert.ok((await show.list(`${name}?_HLS_msn=${last + 1}&_HLS_part=0`)).isEnded);
  }
  assert.equal((await show.fetch("llhls.m3u8")).status, 404);
  assert.ok((await show.list(lists[0]!)).isEnded, "a master in vain takes the ended lists from nobody");
});

const returns = {
  "at once": { segmentCount: 10, backMs: 21_000 },
  "at once, with a short list": { segmentCount: 3, backMs: 21_000 },
  "after a while": { segmentCount: 3, backMs: 32_000 },
};

for (const [name, { segmentCount, backMs }] of Object.entries(returns)) {
  test(`a stream that comes back after its end goes on under the same names, with numbers that never go back: ${name}`, async (t) => {
    const show = await Show.open(t, segmentCount);
    const lists = await show.play(0, 20_900);
    await show.end(lists);
    const ended = await Promise.all(lists.map((name) => show.list(name)));
    assert.deepEqual(await show.play(backMs, backMs + 8_900), lists);
    for (const [index, uri] of lists.entries()) {
      const before = ended[index]!;
      const list = await show.list(uri);
      assert.ok(!list.isEnded && list.hint !== undefined);
      assert.ok(list.mediaSequence >= before.mediaSequence, `${list.mediaSequence} after ${before.mediaSequence}`);
      assert.ok(list.segments.at(-1)!.msn > before.segments.at(-1)!.msn);
      const known = new Map(before.segments.map(({ uri, msn }) => [uri, msn]));
      for (const { uri, msn, isGap } of list.segments)
        if (uri !== undefined && !isGap && known.has(uri)) assert.equal(msn, known.get(uri), uri);
      assert.ok(list.segments.filter(({ isGap, uri }) => !isGap && uri !== undefined).length >= 3);
    }
  });
}
