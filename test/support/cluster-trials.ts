// What a cluster goes through, with hundreds of viewers or with some dozens: the same trial for `npm run soak` and for every run
// of the tests.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { Audience, watchMoves, type Moved } from "./audience.ts";
import { readMetrics } from "./metrics.ts";
import { startRedisServer } from "./redis-server.ts";
import { untilRouterKnows, untilStreamPlays } from "./router-knows.ts";
import { until } from "./until.ts";

const leaseMs = 6_000;

/** What the share of viewers that is worst off waited. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Three edges play to `viewers`; the fullest dies without a word. Who plays again, and when? */
export async function killOneOfThree(viewers: number): Promise<string> {
  const cluster = await startLaptopCluster({ routerPort: 0, edges: 3 });
  const audience = new Audience(cluster.url);
  try {
    await untilRouterKnows(cluster, 3);
    await untilStreamPlays(cluster);
    await audience.gather(viewers);
    // Few viewers of one stream stay on one edge: another would only pull it once more.
    const fullest = await until("the edges report their viewers", 20_000, async () => {
      const answer = (await (await fetch(`${cluster.url}/-/cluster`)).json()) as {
        nodes: { id: string; viewers: number; protocols: string[] }[];
      };
      const edges = answer.nodes.filter(({ protocols }) => protocols.length > 0);
      const all = edges.reduce((sum, edge) => sum + edge.viewers, 0);
      return edges.length === 3 && all >= viewers * 0.95
        ? edges.toSorted((a, b) => b.viewers - a.viewers)[0]
        : undefined;
    });
    const killedMs = performance.now();
    await cluster.nodes.get(fullest.id)!.stop("SIGKILL");
    const expected = fullest.viewers;
    const back = await watchMoves(audience, { sinceMs: killedMs, expected, forMs: leaseMs + 8_000 });
    const backMs = back.map(({ ms }) => ms);
    const moved = backMs.length;
    if (process.env["HEARTH_TELL_MOVES"]) tellMoves(back, killedMs);
    assert.ok(moved >= expected * 0.9, `only ${moved} of the ${expected} viewers of ${fullest.id} moved`);
    const [most, all] = [percentile(backMs, 0.95), percentile(backMs, 1)];
    assert.ok(most <= 5_000, `95 % play again after ${most.toFixed(0)} ms: ${backMs.map(Math.round).join(" ")}`);
    assert.ok(all <= leaseMs + 5_000, `all play again after ${all.toFixed(0)} ms: ${backMs.map(Math.round).join(" ")}`);
    return `${moved} of ${viewers} viewers were on the edge that died; half play again within ${percentile(backMs, 0.5).toFixed(0)} ms, 95 % within ${most.toFixed(0)} ms, all within ${all.toFixed(0)} ms`;
  } finally {
    await audience.close();
    await cluster.close();
  }
}

/** Each kind's times, and what the slowest went through. */
function tellMoves(back: readonly Moved[], sinceMs: number): void {
  for (const kind of new Set(back.map(({ viewer }) => viewer.kind))) {
    const ofKind = back.filter(({ viewer }) => viewer.kind === kind);
    console.log(`${kind}: ${ofKind.map(({ ms }) => Math.round(ms)).join(" ")}`);
    for (const { viewer, ms } of ofKind.slice(-3)) {
      const steps = viewer.steps.map(([step, atMs]) => `${step} ${Math.round(atMs - sinceMs)}`);
      console.log(`  ${Math.round(ms)}: ${steps.join(", ")}`);
    }
  }
}

/** Everybody wants the same stream within moments, and no edge has it yet. Who pulls it, and where does everybody go? */
export async function herd(joins: number, edges: number): Promise<string> {
  const cluster = await startLaptopCluster({ routerPort: 0, edges });
  try {
    const origin = cluster.ready.get("origin-1")!.operatorPort!;
    const pulls = async () => (await readMetrics(origin)).get("hearth_ovt_connections_opened")!;
    const before = await pulls();
    const loads = new Map<string, number>();
    const join = async () => {
      const answer = await fetch(`${cluster.url}/app/stream/llhls.m3u8`);
      assert.equal(answer.status, 200);
      await answer.text();
      const { host } = new URL(answer.url);
      loads.set(host, (loads.get(host) ?? 0) + 1);
    };
    await untilRouterKnows(cluster, edges);
    const startMs = performance.now();
    let next = 0;
    const client = async () => {
      while (next++ < joins) await join();
    };
    await Promise.all(Array.from({ length: 40 }, client));
    const seconds = (performance.now() - startMs) / 1_000;
    const pulled = (await pulls()) - before;
    const ratio = (Math.max(...loads.values()) * edges) / joins;
    assert.ok(pulled <= edges, `${pulled} pulls by ${edges} edges`);
    assert.ok(ratio <= 1.25, `most loaded / mean ${ratio.toFixed(2)}: ${[...loads.values()].join(" ")}`);
    return `${joins} joined in ${seconds.toFixed(1)} s: ${pulled} pulls, most loaded / mean ${ratio.toFixed(2)}`;
  } finally {
    await cluster.close();
  }
}

/** A way to a Redis that can be closed: whoever tries meanwhile is refused, and counted. */
async function openGate(port: number) {
  const open = new Set<Socket>();
  let isClosed = false;
  let refused = 0;
  const server = createServer((socket) => {
    if (isClosed) {
      refused++;
      socket.destroy();
      return;
    }
    const beyond = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [socket, beyond],
      [beyond, socket],
    ] as const) {
      open.add(one);
      one.on("error", () => {});
      one.once("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused: () => refused,
    shut() {
      isClosed = true;
      for (const socket of open) socket.destroy();
    },
    unlock: () => void (isClosed = false),
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** How long routers go on without a store. */
const outageMs = 300_000;

/**
 * The store is away for `awayMs`, and comes back empty. Does anybody notice? Whoever watches plays on; whoever comes is routed as
 * long as a router remembers, and after that told to come back, never that there is nothing.
 */
export async function storeAway(viewers: number, awayMs: number): Promise<string> {
  const redis = await startRedisServer();
  const gate = await openGate(redis.port);
  const cluster = await startLaptopCluster({ routerPort: 0, redisUrl: gate.url });
  const audience = new Audience(cluster.url);
  const play = async (stream: string) =>
    (await fetch(`${cluster.url}/app/${stream}/llhls.m3u8`, { redirect: "manual" })).status;
  try {
    await audience.gather(viewers);
    assert.equal(await play("stream"), 302);
    gate.shut();
    const shutMs = performance.now();
    let asked = 0;
    let least = viewers;
    while (performance.now() - shutMs < awayMs) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      least = Math.min(least, audience.playing());
      const isRemembered = performance.now() - shutMs < outageMs - 5_000;
      const [known, unknown] = [await play("stream"), await play("unknown")];
      const isForgotten = performance.now() - shutMs > outageMs + 5_000;
      if (isRemembered) assert.equal(known, 302, `after ${Math.round(performance.now() - shutMs)} ms`);
      else if (isForgotten) assert.equal(known, 503);
      assert.equal(unknown, 503);
      asked++;
    }
    // Three nodes and the bridge.
    const triesPerSecond = gate.refused() / 4 / (awayMs / 1_000);
    await redis.restartEmpty();
    gate.unlock();
    const backMs = performance.now();
    await until("the store is whole again", 10_000, async () => (await play("unknown")) === 404);
    await until("and the stream is known", 10_000, async () => (await play("stream")) === 302);
    const wholeMs = performance.now() - backMs;
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    assert.equal(audience.playing(), viewers, "nobody was lost");
    assert.ok(least >= viewers * 0.95, `only ${least} of ${viewers} played at some moment`);
    assert.ok(triesPerSecond <= 1.2, `${triesPerSecond.toFixed(2)} tries a second and process`);
    return `${viewers} viewers played on for ${(awayMs / 1_000).toFixed(0)} s without a store (${asked} others asked meanwhile), ${triesPerSecond.toFixed(2)} tries a second and process, whole again after ${wholeMs.toFixed(0)} ms`;
  } finally {
    await audience.close();
    await cluster.close();
    await gate.close();
    await redis.close();
  }
}
