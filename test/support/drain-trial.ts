// Edges go on purpose while people watch: the same trial for `npm run soak` with hundreds of viewers and for every run of the
// tests with some.
import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { childrenOf, cpuSeconds } from "./cpu-time.ts";
import { DrainAudience } from "./drain-audience.ts";
import { untilRouterKnows, untilStreamPlays } from "./router-knows.ts";
import { until } from "./until.ts";

export interface DrainTrial {
  readonly webRtc: number;
  readonly hls: number;
  /**
   * Nobody is excused: without it a viewers' process that stood still, because other tests had the machine, may have stalled
   * and been black for as long.
   */
  readonly isExact?: boolean;
  /** Tells what was measured. */
  readonly say: (line: string) => void;
}

/** `DrainTimeout`. */
const limitMs = 30_000;
/** A drain is over within this time where players do as they are told. */
const usualMs = 12_000;
const blackMs = 1_000;
const costMs = 2_000;
interface Drained {
  readonly node: string;
  readonly viewers: number;
  readonly elapsedMs: number;
}

/** A cluster with its audience, and how drains ended. */
class Scene implements AsyncDisposable {
  readonly drains: Drained[] = [];
  readonly trial: DrainTrial;
  cluster!: LaptopCluster;
  audience!: DrainAudience;

  private constructor(trial: DrainTrial) {
    this.trial = trial;
  }

  static async open(trial: DrainTrial, edges: number): Promise<Scene> {
    const scene = new Scene(trial);
    const onLog = (_node: string, text: string): void => {
      for (const line of text.split("\n"))
        if (line.includes('"event":"node drained"')) scene.drains.push(JSON.parse(line) as Drained);
    };
    scene.cluster = await startLaptopCluster({ routerPort: 0, edges, onLog, nodeFlags: ["--max-semi-space-size=2"] });
    scene.audience = new DrainAudience(scene.cluster.url);
    try {
      await untilRouterKnows(scene.cluster, edges);
      await untilStreamPlays(scene.cluster);
      await scene.audience.gather(trial);
    } catch (thrown) {
      await scene[Symbol.asyncDispose]();
      throw thrown;
    }
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.audience.close();
    await this.cluster.close();
  }

  /** Viewers by edge, as the router sees them. */
  async loads(): Promise<{ id: string; url: string; viewers: number }[]> {
    const answer = await fetch(`${this.cluster.url}/-/cluster`);
    const { nodes } = (await answer.json()) as { nodes: { id: string; url: string; viewers: number }[] };
    return nodes.filter(({ id }) => id.startsWith("edge")).toSorted((a, b) => b.viewers - a.viewers);
  }

  /** Drains an edge, which ends by itself within its limit. */
  async drain(id: string): Promise<Drained> {
    const before = this.drains.length;
    const code = await this.cluster.nodes.get(id)!.stop("SIGTERM", limitMs + 2_000);
    assert.equal(code, 0, `${id} ended by itself, within its limit`);
    // What a process wrote may be read after its end.
    const ended = await until(`${id} says how its drain ended`, 5_000, () =>
      this.drains.slice(before).find(({ node }) => node === id),
    );
    this.trial.say(`${id} drained in ${ended.elapsedMs} ms, viewers left: ${ended.viewers}`);
    return ended;
  }

  /** CPU seconds so far of every part, the router as workerd. */
  async #cost(): Promise<ReadonlyMap<string, number>> {
    const [webRtc, hls] = (await this.audience.ask()).cpuSeconds;
    const { user, system } = process.cpuUsage();
    const own = (user + system) / 1e6;
    const nodes = [...this.cluster.nodes].map(
      ([id, { pid }]) => [id, pid === undefined ? 0 : cpuSeconds(pid)] as const,
    );
    const routers = childrenOf(process.pid).filter(({ name }) => name === "workerd");
    const router = cpuSeconds(...routers.map(({ pid }) => pid));
    return new Map([["WebRTC viewers", webRtc], ["LL-HLS viewers", hls], ["store", own], ["router", router], ...nodes]);
  }

  /** Says what share of a core each part takes meanwhile: whether the machine carries this audience at all. */
  async sayCost<T>(when: string, run: () => Promise<T>): Promise<T> {
    const [before, sinceMs] = [await this.#cost(), performance.now()];
    const result = await run();
    const [after, elapsedMs] = [await this.#cost(), performance.now() - sinceMs];
    const shares = [...after].map(([part, seconds]) => {
      // A node that ended took its figures with it.
      return [part, (100_000 * Math.max(0, seconds - before.get(part)!)) / elapsedMs] as const;
    });
    const all = shares.reduce((sum, [, share]) => sum + share, 0);
    const parts = shares.map(([part, share]) => `${part} ${share.toFixed(0)}`).join(", ");
    this.trial.say(`${when}, % of a core: ${parts}; all ${all.toFixed(0)} of ${100 * availableParallelism()}`);
    return result;
  }

  /** Nobody noticed anything since the audience was gathered. */
  async assertUnnoticed(): Promise<string> {
    const { webRtc, hls, failures, skips, requests, pauses } = await this.audience.ask();
    const black = webRtc.map(({ longestGapMs }) => longestGapMs).toSorted((a, b) => a - b);
    const p99 = black[Math.ceil(0.99 * black.length) - 1] ?? 0;
    const stalls = hls.reduce((sum, viewer) => sum + viewer.stalls, 0);
    const least = Math.min(...hls.map(({ leastMs }) => leastMs ?? Number.POSITIVE_INFINITY));
    const figures = `failed requests: ${failures.length} of ${requests}, HLS stalls: ${stalls} (least in a buffer ${least.toFixed(0)} ms), WebRTC black: p50 ${(black[black.length >> 1] ?? 0).toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, longest ${(black.at(-1) ?? 0).toFixed(0)} ms`;
    this.trial.say(figures);
    const slowest = webRtc.toSorted((a, b) => b.longestGapMs - a.longestGapMs).slice(0, 3);
    for (const { longestGapMs, steps, nodes } of slowest) {
      this.trial.say(`black for ${longestGapMs.toFixed(0)} ms (${nodes.length > 0 ? "WHEP" : "signalling"}): ${steps}`);
    }
    if (pauses.length > 0) this.trial.say(`a viewers' process stood still for ${pauses.join(", ")} ms`);
    assert.deepEqual(failures, []);
    assert.deepEqual(skips, [], "nothing was left out");
    // A pause of the machine can empty each buffer once, and is black for everybody.
    const excused = this.trial.isExact ? [] : pauses;
    assert.ok(stalls <= excused.length * hls.length, figures);
    assert.ok(p99 <= blackMs + Math.max(0, ...excused), figures);
    return figures;
  }
}

/** One of three edges, the fullest, is drained. */
export async function drainOneOfThree(trial: DrainTrial): Promise<string> {
  await using scene = await Scene.open(trial, 3);
  const { audience } = scene;
  const all = trial.webRtc + trial.hls;
  const loads = await until("the edges report their viewers", 20_000, async () => {
    const seen = await scene.loads();
    return seen.reduce((sum, { viewers }) => sum + viewers, 0) >= all ? seen : undefined;
  });
  const [fullest] = loads;
  if (trial.isExact) await scene.sayCost("before", () => sleep(costMs));
  const { webRtc: before } = await audience.ask();
  const { viewers, elapsedMs } = await scene.sayCost("while it drains", () => scene.drain(fullest!.id));
  assert.equal(viewers, 0, "all moved, and it did not end because its time was over");
  assert.ok(elapsedMs <= (trial.isExact ? usualMs : limitMs), `it took ${elapsedMs} ms`);
  await audience.playOn();
  const { webRtc, hls } = await audience.ask();
  for (const { nodes } of [...webRtc, ...hls]) assert.notEqual(nodes.at(-1), fullest!.url);
  for (const [at, { nodes }] of before.entries()) {
    if (nodes.at(-1) !== fullest!.url)
      assert.deepEqual(webRtc[at]!.nodes, nodes, "who watched elsewhere was left alone");
  }
  return `${fullest!.viewers} of ${all} viewers moved in ${elapsedMs} ms; ${await scene.assertUnnoticed()}`;
}

/** Five edges are restarted, two at a time. */
export async function restartFive(trial: DrainTrial): Promise<string> {
  await using scene = await Scene.open(trial, 5);
  const { cluster, audience } = scene;
  const ids = [...cluster.nodes.keys()].filter((id) => id.startsWith("edge"));
  const startedMs = performance.now();
  for (let at = 0; at < ids.length; at += 2) {
    await Promise.all(
      ids.slice(at, at + 2).map(async (id) => {
        const { viewers } = await scene.drain(id);
        assert.equal(viewers, 0, `all left ${id} before it ended`);
        await cluster.nodes.get(id)!.start();
      }),
    );
    await untilRouterKnows(cluster, 5);
  }
  await audience.playOn();
  const moves = Math.max(...(await audience.ask()).webRtc.map(({ nodes }) => nodes.length - 1));
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  return `five edges restarted in ${seconds} s, most moves of a viewer ${moves}; ${await scene.assertUnnoticed()}`;
}
