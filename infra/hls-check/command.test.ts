import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { test } from "node:test";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip, withSubtitles } from "../../test/support/clip.ts";
import { startLlHlsNode } from "../../test/support/llhls-node.ts";
import { loopingSource } from "../../test/support/looping-source.ts";
import { until } from "../../test/support/until.ts";
import { runHlsCheck } from "./command.ts";
import { judgeHls } from "./judge.ts";

test("a good stream with subtitles breaks no rule, one that lies is named", { timeout: 60_000 }, async (t) => {
  const clip = withSubtitles(await makeClip({ seconds: 6 }));
  const node = await startLlHlsNode({ open: loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 }) });
  t.after(() => node.close());
  // Passes everything on, but for a rate nobody has measured.
  const lie = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await fetch(node.baseUrl + request.url);
    const bytes = Buffer.from(await answer.arrayBuffer());
    const body = /mpegurl/.test(answer.headers.get("content-type") ?? "")
      ? bytes.toString().replaceAll(/BANDWIDTH=\d+/g, "BANDWIDTH=77")
      : bytes;
    response.writeHead(answer.status, { "Access-Control-Allow-Origin": "*" }).end(body);
  };
  const liar = createServer((request, response) => void lie(request, response));
  await new Promise<void>((resolve) => void liar.listen(0, "127.0.0.1", resolve));
  t.after(() => liar.closeAllConnections());
  t.after(() => liar.close());
  const { port } = liar.address() as { port: number };
  const said: string[] = [];
  const path = "app/stream/llhls.m3u8";
  assert.match(await (await fetch(`${node.baseUrl}/${path}`)).text(), /TYPE=SUBTITLES/);
  assert.equal(
    await runHlsCheck([`${node.baseUrl}/${path}`, "--seconds", "3"], (line) => said.push(line)),
    0,
    said.join("\n"),
  );
  assert.ok(said.length >= 20 && said.every((line) => line.startsWith("ok")));
  const broken: string[] = [];
  const code = await runHlsCheck([`http://127.0.0.1:${port}/${path}`, "--seconds", "1", "--json"], (line) =>
    broken.push(line),
  );
  assert.equal(code, 1);
  const { rules } = JSON.parse(broken.join("")) as { rules: { rule: string; faults: string[] }[] };
  assert.ok(rules.find(({ rule }) => rule.startsWith("BANDWIDTH"))!.faults[0]!.startsWith("BANDWIDTH=77, measured"));
});

test("a server that stands still is seen, also by who runs in its process", { timeout: 60_000 }, async (t) => {
  const clip = await makeClip({ seconds: 6 });
  const node = await startLlHlsNode({ open: loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 }) });
  t.after(() => node.close());
  const judged = judgeHls(`${node.baseUrl}/app/stream/llhls.m3u8`, 3);
  // The hinted parts, which are waited for first, are there by then: these are reloads of both tracks.
  let seen = 0;
  await until("it watches", 20_000, () => node.guest.stats.heldRequests >= 2 && ++seen > 20);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_200);
  const { verdicts } = await judged;
  const { faults } = verdicts.find(({ rule }) => rule === "a reload is held until its part is there")!;
  assert.match(faults.join(), /took \d{4} ms/);
});

test("a playlist of MPEG-TS is judged by the rules that hold for it", { timeout: 60_000 }, async (t) => {
  const open = loopingSource(await makeClip({ seconds: 6 }), { epochMs: hearthEpochMs, burstMs: 20_000 });
  const node = await startLlHlsNode({ open, config: { mpegTs: { isPlainTaken: false } } });
  t.after(() => node.close());
  const said: string[] = [];
  const url = `${node.baseUrl}/app/stream/playlist.m3u8?format=ts`;
  assert.equal(await runHlsCheck([url, "--seconds", "1"], (line) => said.push(line)), 0, said.join("\n"));
});

test("says what it wants, and what went wrong", async () => {
  const said: string[] = [];
  assert.equal(await runHlsCheck([], (line) => said.push(line)), 2);
  assert.equal(await runHlsCheck(["http://127.0.0.1:1/app/stream/llhls.m3u8"], (line) => said.push(line)), 2);
  assert.match(said[0]!, /^hearth hls-check URL/);
  assert.match(said[1]!, /ECONNREFUSED|fetch failed/);
});

test("what is no URL, and a stream that nobody serves, are said with what was given, and end with 2", async () => {
  const said: string[] = [];
  const print = (line: string) => void said.push(line);
  assert.equal(await runHlsCheck(["app/stream"], print), 2);
  assert.equal(await runHlsCheck(["http://127.0.0.1:1/app/stream/llhls.m3u8"], print), 2);
  assert.match(said[0] ?? "", /^"app\/stream" is no URL of a playlist: give one such as https:/);
  assert.match(said[1] ?? "", /^http:\/\/127\.0\.0\.1:1\/app\/stream\/llhls\.m3u8 cannot be read: /);
});
