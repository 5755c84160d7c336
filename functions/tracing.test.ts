import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseTraceparent } from "#cluster/trace/trace-id.ts";
import { routerFixture } from "../test/support/router.ts";
import type { LogLine } from "./tracing.ts";

const id = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${id}-00f067aa0ba902b7-01`;

const traced = (answer: Response): string | null => answer.headers.get("X-Hearth-Trace");
const carried = (answer: Response): string | null => new URL(answer.headers.get("Location")!).searchParams.get("rtid");

describe("the trace id", () => {
  test("of a traceparent is answered, put into the redirect, and logged with the decision", async () => {
    const lines: Parameters<LogLine>[0][] = [];
    const { ask } = await routerFixture({}, { log: (line) => void lines.push(line) });
    const answer = await ask("/app/stream/llhls.m3u8?a=1", { headers: { traceparent } });
    assert.equal(traced(answer), id);
    assert.equal(carried(answer), id);
    assert.match(answer.headers.get("Access-Control-Expose-Headers")!, /X-Hearth-Trace/);
    const { event, trace, app, stream, protocol, to, reason } = lines[0]!;
    assert.deepEqual(
      { event, trace, app, stream, protocol },
      { event: "viewer routed", trace: id, app: "app", stream: "stream", protocol: "llhls" },
    );
    assert.match(String(to), /^edge[12]$/);
    assert.notEqual(reason, "");
    assert.equal(lines.length, 1);
  });

  test("is made for who brings none, another for everybody who gets the same ticket", async () => {
    const { ask } = await routerFixture({ nodes: (await routerFixture()).cluster.nodes.slice(0, 1) });
    const answers = [await ask("/app/stream/llhls.m3u8"), await ask("/app/stream/llhls.m3u8")];
    const [one, other] = answers.map((answer) => new URL(answer.headers.get("Location")!).searchParams);
    assert.equal(one!.get("rt"), other!.get("rt"));
    assert.match(one!.get("rtid")!, /^[\da-f]{32}$/);
    assert.notEqual(one!.get("rtid"), other!.get("rtid"));
    assert.deepEqual(answers.map(traced), [one!.get("rtid"), other!.get("rtid")]);
  });

  for (const hostile of [
    `00-${"0".repeat(32)}-00f067aa0ba902b7-01`,
    "<script>",
    `${traceparent}-x`,
    "x".repeat(9_000),
  ]) {
    test(`is made anew where the traceparent is ${hostile.slice(0, 60)}`, async () => {
      const { ask } = await routerFixture();
      const answer = await ask("/app/stream/llhls.m3u8", { headers: { traceparent: hostile } });
      assert.match(traced(answer)!, /^[\da-f]{32}$/);
      assert.notEqual(traced(answer), id);
      assert.equal(carried(answer), traced(answer));
    });
  }

  test("that a viewer brings in its query is replaced: that key is the router's", async () => {
    const { ask } = await routerFixture();
    const answer = await ask(`/app/stream/llhls.m3u8?rtid=${id}&x=1`);
    assert.equal(new URL(answer.headers.get("Location")!).searchParams.getAll("rtid").length, 1);
    assert.notEqual(carried(answer), id);
  });

  test("is in the answer and the log when there is no such stream", async () => {
    const lines: Parameters<LogLine>[0][] = [];
    const { ask } = await routerFixture({ origins: {} }, { log: (line) => void lines.push(line) });
    const answer = await ask("/app/nothing/llhls.m3u8", { headers: { traceparent } });
    assert.equal(answer.status, 404);
    assert.equal(traced(answer), id);
    assert.deepEqual(
      lines.map(({ event, trace, code }) => ({ event, trace, code })),
      [{ event: "viewer not routed", trace: id, code: "unknown-stream" }],
    );
  });

  test("goes as a header where the router asks the node itself, and not in the URL", async () => {
    const asked: { url: string; headers: Headers }[] = [];
    const { ask } = await routerFixture(
      {},
      {
        fetch: async (url, init) => {
          asked.push({ url, headers: new Request(url, init).headers });
          return new Response("#EXTM3U\n", { status: 200 });
        },
      },
    );
    const headers = { traceparent };
    await ask("/app/stream/whep?via=proxy", {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/sdp" },
      body: "v=0\r\n",
    });
    await ask("/app/stream", { headers: { ...headers, Upgrade: "websocket" } });
    await ask("/app/stream/llhls.m3u8?steering=1", { headers });
    assert.equal(asked.length, 3);
    for (const { url, headers } of asked) {
      assert.equal(parseTraceparent(headers.get("traceparent") ?? undefined), id);
      assert.notEqual(headers.get("traceparent"), traceparent, "the parent is the router now");
      assert.equal(new URL(url).searchParams.has("rtid"), false);
    }
  });

  test("is not in answers that are about no stream", async () => {
    const { ask } = await routerFixture();
    assert.equal(traced(await ask("/-/health", { headers: { traceparent } })), null);
  });
});
