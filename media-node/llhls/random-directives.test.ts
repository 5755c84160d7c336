import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { readMediaPlaylist, type SeenPlaylist } from "../../infra/hls-check/playlist-reader.ts";
import { ask, type AskedExchange } from "../../test/support/asked-exchange.ts";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode } from "../../test/support/llhls-node.ts";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import { ManualClock } from "../time/manual-clock.ts";

const requests = 10_000;
const perRound = 100;
/** A segment of two seconds has ten of them. */
const partMs = 200;
/** Parts that a request may name before they are there. */
const aheadSeconds = 3;

/** What a query has to come to at once, by what a viewer sees of the stream: 400, 200, or an answer later. */
function expected(text: string, seen: SeenPlaylist): 200 | 400 | undefined {
  const query = new URLSearchParams(text);
  const [msnText, partText] = [query.get("_HLS_msn"), query.get("_HLS_part")];
  if (msnText === null) return partText === null ? 200 : 400;
  const isNumber = (value: string): boolean => /^\d{1,15}$/.test(value);
  if (!isNumber(msnText) || (partText !== null && !isNumber(partText))) return 400;
  const msn = Number(msnText);
  const part = partText === null ? undefined : Number(partText);
  const last = seen.segments.at(-1)!;
  const whole = seen.segments.findLast(({ uri }) => uri !== undefined)!;
  // Between two segments the first is over, as the hint tells, and not yet listed as a whole.
  const isOver = last.uri === undefined && Number(seen.hint!.split("_")[2]) > last.msn;
  const over = isOver ? last : whole;
  const open = last.uri === undefined && !isOver ? last.parts.length : 0;
  if (msn > over.msn + 2) return 400;
  if (msn <= whole.msn && part === undefined) return 200;
  if (msn < over.msn) return 200;
  // After the last part of a whole segment comes the next segment's first.
  if (msn === over.msn && part !== undefined) return part < over.parts.length || open > 0 ? 200 : undefined;
  if (part === undefined) return undefined;
  const there = msn === over.msn + 1 ? open : 0;
  return part < there ? 200 : (part - there) * seen.partTarget > aheadSeconds ? 400 : undefined;
}

/** Whether a playlist has what a query waited for. */
function hasWhatWasAsked(text: string, playlist: SeenPlaylist): boolean {
  const query = new URLSearchParams(text);
  const msn = Number(query.get("_HLS_msn"));
  const segment = playlist.segments.find((one) => one.msn === msn);
  if (playlist.segments.some((one) => one.msn > msn) || segment?.uri !== undefined) return true;
  return query.has("_HLS_part") && (segment?.parts.length ?? 0) > Number(query.get("_HLS_part"));
}

const junk = ["", "-1", "1.5", "x", "9e9", " 3", "0x2", "NaN", "99999999999999999999", "%00", "1,2", "+1"];

/** Directives in any order, some twice, most of them near the live edge. */
function randomQuery(random: () => number, lastMsn: number): string {
  const below = (count: number): number => Math.floor(random() * count);
  const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]!;
  const number = (near: number): string => (random() < 0.1 ? oneOf(junk) : String(random() < 0.1 ? below(1e9) : near));
  const makers: (() => string)[] = [
    () => `_HLS_msn=${number(Math.max(0, lastMsn - 3 + below(8)))}`,
    () => `_HLS_msn=${number(Math.max(0, lastMsn + below(3)))}`,
    () => `_HLS_part=${number(below(30))}`,
    () => `_HLS_part=${number(below(12))}`,
    () => `_HLS_skip=${oneOf(["YES", "v2", "NO", "", "yes"])}`,
    () => `_HLS_rewind=${oneOf(["YES", "NO", "no", "2", ""])}`,
    () => `${oneOf(["_HLS_later", "token", "session_", "_HLS_MSN", "%5f", "a b", ""])}=${oneOf(junk)}`,
  ];
  const query = Array.from({ length: below(6) }, () => oneOf(makers)());
  // Most players say both.
  return (random() < 0.5 ? [makers[1]!(), makers[3]!(), ...query] : query).join("&");
}

test("of 10,000 random directives the impossible ones are 400 at once, and no other is lost or stays held", async (t) => {
  const clock = new ManualClock();
  const source = new FakeSource(describe([videoTrack, audioTrack]));
  const node = await startLlHlsNode({ open: async () => source, clock });
  const { guest } = node;
  t.after(() => node.close());
  const samples = syntheticSamples({ durationMs: 6_000 + (requests / perRound) * partMs });
  let nowMs = 4_000;
  let fed = 0;
  const feed = async (ms: number): Promise<void> => {
    const isDue = ({ trackId, dts }: (typeof samples)[number]): boolean =>
      dts / (trackId === 0 ? 90 : 48) <= nowMs + ms;
    while (fed < samples.length && isDue(samples[fed]!)) source.sink!.onSample(samples[fed++]!);
    nowMs += ms;
    clock.advance(ms);
    for (let turns = 0; turns < 20; turns++) await turn();
  };
  const master = ask(guest, "llhls.m3u8");
  await until("the source to be started", 5_000, () => source.sink !== undefined);
  await feed(partMs);
  await until("the master", 5_000, () => master.isOver);
  const files = [...master.text.matchAll(/chunklist_\d_(?:video|audio)_\w+\.m3u8/g)].map(([file]) => file);
  assert.equal(new Set(files).size, 2);

  const random = seededRandom(8_216);
  let held: AskedExchange[] = [];
  const counts = new Map<string, number>();
  const count = (what: string): void => void counts.set(what, (counts.get(what) ?? 0) + 1);
  for (let asked = 0; asked < requests; asked += perRound) {
    const file = files[asked % 2]!;
    const seen = readMediaPlaylist(ask(guest, file).text);
    for (let index = 0; index < perRound; index++) {
      const query = randomQuery(random, seen.segments.at(-1)!.msn);
      const one = ask(guest, `${file}?${query}`, `192.0.2.${index}`);
      assert.equal(one.status, expected(query, seen), `?${query} after ${nowMs} ms`);
      count(String(one.status ?? "held"));
      if (one.status === undefined) held.push(one);
    }
    for (const one of held) if (random() < 0.1) one.go();
    await feed(partMs);
    for (const { url, status, text } of held) {
      const query = url.slice(url.indexOf("?") + 1);
      if (status === undefined) continue;
      assert.equal(status, 200, `held, ?${query}`);
      assert.ok(hasWhatWasAsked(query, readMediaPlaylist(text)), `?${query} was answered with what it asked for`);
      count("held and answered");
    }
    held = held.filter(({ isOver }) => !isOver);
    assert.equal(guest.stats.heldRequests, held.length, "who is gone or answered is held no longer");
  }
  // The stream stands still: who waits now is told so after the hold limit.
  assert.ok(held.length > 0);
  clock.advance(8_500);
  assert.deepEqual(new Set(held.map(({ status }) => status)), new Set([503]));
  assert.equal(guest.stats.heldRequests, 0);
  for (const what of ["200", "400", "held", "held and answered"]) assert.ok(counts.get(what)! > requests / 20, what);
});
