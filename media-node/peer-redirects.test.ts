import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeRecord } from "../test/support/router.ts";
import { until } from "../test/support/until.ts";
import { settle, TestHub } from "../test/support/webrtc-room.ts";
import type { ClusterReader } from "./cluster/store/contract.ts";
import { signNodeRecord } from "./cluster/store/node-record.ts";
import { importSigningKey } from "./cluster/ticket/signing-key.ts";
import { signTicket, verifyTicket } from "./cluster/ticket/ticket.ts";
import type { PlainExchange, ViewerTarget } from "./core/guest.ts";
import { silentLogger } from "./flow/logger.ts";
import { PeerRedirects } from "./peer-redirects.ts";
import { WarmPeers } from "./warm-peers.ts";

const name = { vhost: "default", app: "app", stream: "live" };
const key = await importSigningKey("a secret for tests only");

/** A node `self` that drains, with one LL-HLS viewer, and peers that answer when the test says so. */
async function draining(peers: readonly string[], spreadMs = 0) {
  const room = new TestHub();
  const { clock } = room;
  await room.hub.acquire(name, { protocol: "llhls" });
  const nodes = await Promise.all(
    ["self", ...peers].map((id) =>
      signNodeRecord(key, nodeRecord(id, id === "self" ? { state: "draining" } : {}), clock.wallMs()),
    ),
  );
  const store = { snapshot: async () => ({ nowMs: clock.wallMs(), nodes, origins: [] }) } as unknown as ClusterReader;
  const asked: { url: URL; answer: (status: number) => void }[] = [];
  const post = (url: string, signal: AbortSignal): Promise<number> =>
    new Promise((resolve, reject) => {
      asked.push({ url: new URL(url), answer: resolve });
      signal.addEventListener("abort", () => reject(new Error("no answer")));
    });
  const sentOn: string[] = [];
  const redirects = new PeerRedirects({
    nodeId: "self",
    key,
    storeOf: () => store,
    vhosts: () => ["default"],
    warm: new WarmPeers({ nodeId: "self", key, hub: room.hub, clock, logger: silentLogger, post }),
    spreadMs: () => spreadMs,
    onSentOn: ({ query }) => void sentOn.push(query.get("session") ?? ""),
    clock,
    logger: silentLogger,
  });
  redirects.start();
  // Signatures are made elsewhere than in this thread's turns.
  await until("peers are asked", 5_000, () => asked.length >= Math.min(2, peers.length));
  await settle();
  /** Asks for a media playlist. @returns the host it is sent on to; undefined when it is served here */
  const ask = async (query: string): Promise<string | undefined> => {
    let location: string | undefined;
    const send = (_status: number, headers: readonly string[]): void =>
      void (location = headers[headers.indexOf("Location") + 1]);
    const exchange = { method: "GET", isOver: false, send } as unknown as PlainExchange;
    const file = "chunklist_0_video_k_llhls.m3u8";
    const target = { ...name, file, rawQuery: query, query: new URLSearchParams(query) } as ViewerTarget;
    if (!redirects.serve(exchange, target)) return undefined;
    return new URL(await until("it is sent on", 5_000, () => location)).host;
  };
  return { room, clock, redirects, asked, sentOn, ask };
}

test("viewers are sent to the peer that has their stream at hand", async () => {
  const { clock, redirects, asked, ask } = await draining(["a", "b", "c"]);
  assert.equal(asked.length, 2, "one viewer, and no peer more than it needs");
  for (const { url } of asked) {
    assert.equal(url.pathname, "/-/warm");
    const scope = { node: url.host.replace(".test", ""), name, protocol: "warm" } as const;
    assert.ok((await verifyTicket(key, url.searchParams.get("rt"), scope, clock.wallMs())).admitted);
    assert.deepEqual([...url.searchParams.values()].slice(0, 3), ["default", "app", "live"]);
  }
  clock.advance(3_000);
  assert.equal(await ask("session=one"), undefined, "nobody is sent to a peer that is not ready");
  const [first, second] = asked;
  first!.answer(503);
  second!.answer(200);
  await redirects.warmed;
  for (let i = 0; i < 3; i++) assert.equal(await ask(`session=${i}`), second!.url.host);
  redirects.stop();
});

test("viewers are sent on one after the other, who comes for the first time at once", async () => {
  const { clock, redirects, asked, ask } = await draining(["a"], 2_000);
  asked[0]!.answer(200);
  await redirects.warmed;
  const sessions = Array.from({ length: 100 }, (_, at) => `session=viewer-${at}`);
  const moved = async (): Promise<number> => {
    const answers = await Promise.all(sessions.map((query) => ask(query)));
    return answers.filter((host) => host !== undefined).length;
  };
  clock.advance(2_400);
  assert.equal(await moved(), 0);
  clock.advance(1_100);
  const half = await moved();
  assert.ok(half > 30 && half < 70, `${half} of 100 in half the time`);
  const ticket = await signTicket(key, { node: "self", name, protocol: "llhls" }, clock.wallMs());
  assert.equal(await ask(`rt=${ticket}`), "a.test");
  clock.advance(1_000);
  assert.equal(await moved(), 100);
  redirects.stop();
});

test("peers that do not answer get viewers after six seconds", async () => {
  const { clock, redirects, ask } = await draining(["a", "b"]);
  clock.advance(5_900);
  assert.equal(await ask("session=one"), undefined);
  clock.advance(200);
  await redirects.warmed;
  assert.match((await ask("session=one")) ?? "", /^[ab]\.test$/);
  redirects.stop();
});

test("without a peer viewers stay", async () => {
  const { clock, redirects, asked, ask } = await draining([]);
  clock.advance(5_000);
  await redirects.warmed;
  assert.deepEqual([asked.length, await ask("session=one"), redirects.returning], [0, undefined, 0]);
  redirects.stop();
});

test("who comes back to be sent on again counts as still here; who does not has moved", async () => {
  const { clock, redirects, asked, sentOn, ask } = await draining(["a"]);
  asked[0]!.answer(200);
  await redirects.warmed;
  clock.advance(2_500);
  await ask("session=moved&_HLS_msn=5&_HLS_part=1");
  await ask("session=stays&_HLS_msn=5&_HLS_part=1");
  const ticket = await signTicket(key, { node: "self", name, protocol: "llhls" }, clock.wallMs());
  await ask(`rt=${ticket}`);
  assert.deepEqual(sentOn, ["moved", "stays", ""]);
  assert.equal(redirects.returning, 2, "who comes for the first time is given the other node's addresses");
  for (let i = 0; i < 5; i++) {
    clock.advance(1_000);
    await ask("session=stays&_HLS_msn=6&_HLS_part=1");
  }
  assert.equal(redirects.returning, 1);
  await ask("session=whole-segments");
  clock.advance(4_000);
  assert.equal(redirects.returning, 1, "who plays whole segments asks once a target duration");
  clock.advance(1_100);
  assert.equal(redirects.returning, 0);
  redirects.stop();
});
