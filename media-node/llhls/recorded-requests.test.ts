// Requests that an OvenMediaEngine edge was recorded with, and some that nobody sends on purpose: what it answers, and what we do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import { NoSuchStream } from "../core/source.ts";
import { ManualClock } from "../time/manual-clock.ts";

interface Asked {
  readonly what: string;
  readonly method?: string;
  /** `LIST` and `SEGMENT` stand for what the playlists name, with `?session=…`; what begins with a slash is the whole path. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** OvenMediaEngine's status; 0 where it never answered, undefined where nothing is recorded. */
  readonly recorded?: number;
  readonly status: number;
}

const never = "&_HLS_msn=52&_HLS_part=0";
const rows: readonly Asked[] = [
  { what: "master", path: "llhls.m3u8", recorded: 200, status: 200 },
  { what: "a query of somebody else's", path: "llhls.m3u8?policy=xyz&foo=bar", recorded: 200, status: 200 },
  { what: "HEAD of a master", method: "HEAD", path: "llhls.m3u8", recorded: 200, status: 200 },
  { what: "a preflight", method: "OPTIONS", path: "llhls.m3u8", recorded: 200, status: 204 },
  { what: "POST to a master", method: "POST", path: "llhls.m3u8", recorded: 404, status: 405 },
  { what: "a list", path: "LIST", recorded: 200, status: 200 },
  { what: "a list without session, unguarded", path: "BARE", recorded: 401, status: 200 },
  { what: "a session that nobody gave", path: "BARE?session=21_", recorded: 200, status: 200 },
  { what: "an escaped session", path: "BARE?session=a%62c", status: 200 },
  { what: "a segment that is old", path: "LIST&_HLS_msn=1&_HLS_part=0", recorded: 200, status: 200 },
  { what: "a delta", path: "LIST&_HLS_skip=YES", recorded: 200, status: 200 },
  { what: "a legacy list", path: "LIST&_HLS_legacy=YES", recorded: 200, status: 200 },
  { what: "directives that are none", path: "LIST&_HLS_msn=abc&_HLS_part=x", recorded: 200, status: 400 },
  { what: "a part of no segment", path: "LIST&_HLS_part=1", recorded: 200, status: 400 },
  { what: "a segment far ahead", path: `LIST${never}`, recorded: 0, status: 400 },
  { what: "a range of a list", path: "LIST", headers: { range: "bytes=0-9" }, status: 200 },
  { what: "a list unless it is as it was", path: "LIST", headers: { "if-none-match": '"x"' }, status: 200 },
  { what: "a segment", path: "SEGMENT", recorded: 200, status: 200 },
  { what: "a segment with a session", path: "SEGMENT?session=21_", recorded: 200, status: 200 },
  { what: "a range of a segment", path: "SEGMENT", headers: { range: "bytes=0-99" }, recorded: 200, status: 206 },
  { what: "MPEG-TS where there is none", path: "llhls.m3u8?format=ts", recorded: 404, status: 404 },
  { what: "the same by prefix", path: "ts:llhls.m3u8", recorded: 404, status: 404 },
  { what: "a segment that never was", path: "seg_0_99999_video_OyTNQB97_llhls.m4s", recorded: 404, status: 404 },
  { what: "a list of no track", path: "chunklist_9_video_OyTNQB97_llhls.m3u8", recorded: 404, status: 404 },
  { what: "a master of no playlist", path: "nosuch.m3u8", recorded: 404, status: 404 },
  { what: "a file of another kind", path: "x.mp4", recorded: 404, status: 404 },
  { what: "no stream", path: "/app/nosuchstream/llhls.m3u8", recorded: 404, status: 404 },
  { what: "no application", path: "/noapp/x/llhls.m3u8", recorded: 404, status: 404 },
  { what: "nothing", path: "/", recorded: 404, status: 404 },
  { what: "more than three names", path: "llhls.m3u8/", status: 200 },
  { what: "an application without name", path: "//app/stream/llhls.m3u8", status: 404 },
  { what: "a stream without name", path: "/app//llhls.m3u8", status: 404 },
  { what: "an escaped name", path: "/app/s%74ream/llhls.m3u8", status: 404 },
  { what: "an extension in capitals", path: "llhls.M3U8", status: 404 },
  { what: "a long query", path: `llhls.m3u8?x=${"y".repeat(7_000)}`, status: 200 },
  { what: "a query longer than any", path: `llhls.m3u8?x=${"y".repeat(20_000)}`, status: 431 },
];

test("requests are answered as OvenMediaEngine answers them, or better on purpose; pages may read all of it", async (t) => {
  const clock = new ManualClock();
  let source: FakeSource | undefined;
  const node = await startLlHlsNode({
    clock,
    open: async (_url, { stream }) => {
      if (stream?.stream !== "stream") throw new NoSuchStream("404");
      return (source = new FakeSource(describe([videoTrack, audioTrack])));
    },
  });
  t.after(() => node.close());
  const base = `${node.baseUrl}/app/stream`;
  const first = fetch(`${base}/llhls.m3u8`);
  await until("the source to be started", 5_000, () => source?.sink !== undefined);
  for (const sample of syntheticSamples({ durationMs: 8_100 })) source!.sink!.onSample(sample);
  clock.advance(200);
  const [list] = /^chunklist_0_video.*$/m.exec(await (await first).text())!;
  const [segment] = /^seg_.*$/m.exec(await (await fetch(`${base}/${list}`)).text())!;
  for (const { what, method = "GET", path, headers = {}, status } of rows) {
    const file = path.replace("LIST", list).replace("BARE", list.split("?")[0]!).replace("SEGMENT", segment);
    const url = file.startsWith("/") ? `${node.baseUrl}${file}` : `${base}/${file}`;
    const answer = await fetch(url, { method, headers: { origin: "null", ...headers } });
    const text = await answer.text();
    assert.deepEqual([answer.status, answer.headers.get("access-control-allow-origin")], [status, "*"], what);
    if (what.includes("somebody else's")) assert.ok(!/policy|foo/.test(text), "children carry the session alone");
    if (method === "HEAD") assert.ok(Number(answer.headers.get("content-length")) > 100 && text === "");
  }
});
