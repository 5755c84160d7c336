import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { LlHls } from "./ll-hls.ts";

const viewers = 500;

/** What one viewer's answer is written from: the very objects, and the memory behind them. */
async function answerTo(
  guest: LlHls,
  url: string,
): Promise<{ headers: readonly string[]; body: readonly Uint8Array[] }> {
  const [file = "", rawQuery = ""] = url.split("?", 2);
  const where = {
    vhost: "default",
    app: "app",
    stream: "stream",
    file,
    baseUrl: "http://edge",
    remoteAddress: "::1",
  };
  return new Promise((resolve) => {
    const exchange: PlainExchange = {
      method: "GET",
      isOver: false,
      header: (name) => (name === "accept-encoding" ? "gzip" : undefined),
      send(status, headers, body: AnswerBody = []) {
        assert.equal(status, 200, url);
        resolve({ headers, body: body as readonly Uint8Array[] });
      },
      onGone() {},
    };
    assert.ok(
      guest.serve(exchange, {
        ...where,
        rawQuery,
        query: new URLSearchParams(rawQuery),
      }),
    );
  });
}

test("a stream's bytes are in memory once, however many viewers are sent them", async (t) => {
  const clock = new ManualClock();
  const source = new FakeSource(describe([videoTrack, audioTrack]));
  const node = await startLlHlsNode({
    open: async () => source,
    clock,
  });
  t.after(() => node.close());
  const { guest } = node;
  const master = answerTo(guest, "llhls.m3u8");
  await until("the source to be started", 5_000, () => source.sink !== undefined);
  for (const sample of syntheticSamples({ durationMs: 20_000 })) source.sink!.onSample(sample);
  clock.advance(2_100);
  const textOf = (body: readonly Uint8Array[]): string => gunzipSync(Buffer.concat(body)).toString();
  const [list] = /^chunklist_0_video\S+/m.exec(textOf((await master).body))!;
  const playlist = textOf((await answerTo(guest, list)).body);
  const heldBefore = guest.stats.heldBytes;
  assert.ok(heldBefore > 0);
  const [, init] = /#EXT-X-MAP:URI="([^"]+)"/.exec(playlist)!;
  const [segment] = playlist.match(/^seg_.*$/gm)!.slice(-1);
  const [, msn] = /^seg_0_(\d+)_/.exec(segment!)!;
  const partNames = [...playlist.matchAll(/URI="(part_0_(\d+)_[^"]+)"/g)].flatMap(([, uri, of]) =>
    of === msn ? uri! : [],
  );
  assert.ok(partNames.length > 1);
  const names = [init!, segment!, ...partNames, list];
  for (const name of names) {
    const [first, ...others] = await Promise.all(Array.from({ length: viewers }, () => answerTo(guest, name)));
    for (const { headers, body } of others) {
      assert.equal(headers, first!.headers, name);
      assert.equal(body.length, first!.body.length);
      body.forEach((piece, index) => assert.equal(piece, first!.body[index], `${name} was copied`));
    }
  }
  // A segment is its parts: the same memory, not another.
  const parts = await Promise.all(partNames.map((name) => answerTo(guest, name)));
  const whole = await answerTo(guest, segment!);
  assert.equal(whole.body.length, parts.length);
  whole.body.forEach((piece, index) => assert.equal(piece, parts[index]!.body[0]));
  assert.equal(guest.stats.heldBytes, heldBefore);
});
