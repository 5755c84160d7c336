// Edges go on purpose while people watch: the same trial for `npm run soak` with hundreds of viewers and for every run of the
// tests with some.
import assert from "node:assert/strict";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "./hls-viewer.ts";
import { LoadViewer } from "./load-viewer.ts";
import { untilRouterKnows, untilStreamPlays } from "./router-knows.ts";
import { until } from "./until.ts";
import { WhepViewer } from "./whep-viewer.ts";

export interface DrainTrial {
  readonly webRtc: number;
  readonly hls: number;
  /** Tells what was measured. */
  readonly say: (line: string) => void;
}

/** `DrainTimeout`. */
const limitMs = 30_000;
/** A drain is over within this time where players do as they are told. */
const usualMs = 12_000;
const blackMs = 1_000;
const tickMs = 4;
/** The viewers' own process stood still for so long: the machine is busy with something else, and no node is to blame. */
const pauseMs = 150;
/** Who join at the same time: a machine that runs the whole cluster takes no rush. */
const atOnce = 20;

/** Everybody who watches. WebRTC: by managed signalling, every fourth by WHEP. LL-HLS: steered, every third knows its URL alone. */
class Audience {
  readonly signalled: LoadViewer[] = [];
  readonly whep: WhepViewer[] = [];
  readonly hls: HlsViewer[] = [];
  readonly #url: string;
  /** How long each time nobody here could play, whoever sent. */
  readonly pauses: number[] = [];
  readonly #ticking: NodeJS.Timeout;

  constructor(router: string) {
    this.#url = `${router}/app/stream`;
    let lastMs = performance.now();
    this.#ticking = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs - lastMs > pauseMs) this.pauses.push(nowMs - lastMs);
      lastMs = nowMs;
      for (const viewer of this.signalled) viewer.tick(nowMs);
    }, tickMs);
  }

  async gather({ webRtc, hls }: DrainTrial): Promise<void> {
    for (let from = 0; from < Math.max(webRtc, hls); from += atOnce) {
      const joining: Promise<unknown>[] = [];
      for (let at = from; at < from + atOnce; at++) {
        if (at < webRtc) joining.push(this.#joinWebRtc(at));
        if (at < hls) this.hls.push(new HlsViewer(`${this.#url}/llhls.m3u8${at % 3 === 2 ? "" : "?steering=1"}`));
      }
      await Promise.all(joining);
      await until("everybody watches", 60_000, () =>
        [...this.whep, ...this.hls].every(({ node }) => node !== undefined),
      );
    }
    // What went wrong before is another test's.
    assert.deepEqual(this.failures, []);
    for (const viewer of [...this.whep, ...this.signalled]) viewer.longestGapMs = 0;
    for (const { playout } of this.hls) playout.restart();
    this.pauses.length = 0;
  }

  async #joinWebRtc(at: number): Promise<void> {
    if (at % 4 === 3) return void this.whep.push(new WhepViewer(`${this.#url}/whep`));
    const options = { checkEvery: 1_000_000, isGenuine: () => true };
    const url = `${this.#url.replace("http", "ws")}?managed=1`;
    await LoadViewer.join(url, options, (viewer) => this.signalled.push(viewer));
  }

  get failures(): string[] {
    return [...this.whep, ...this.hls].flatMap(({ failures }) => failures);
  }

  /** Longest black of each WebRTC viewer, in order of size. */
  get blackMs(): number[] {
    return [...this.whep, ...this.signalled].map(({ longestGapMs }) => longestGapMs).toSorted((a, b) => a - b);
  }

  /** Resolves when every viewer got media after now. */
  async playOn(): Promise<void> {
    const nowMs = performance.now();
    const packets = this.whep.map((viewer) => viewer.packets);
    await until("everybody plays on", 5_000, () => {
      const hasPictures = this.whep.every((viewer, index) => viewer.packets > packets[index]!);
      return (
        hasPictures && [...this.hls, ...this.signalled].every(({ lastMs }) => lastMs !== undefined && lastMs > nowMs)
      );
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#ticking);
    for (const viewer of this.signalled) viewer.close();
    await Promise.all([...this.whep, ...this.hls].map((viewer) => viewer.close()));
  }
}

interface Drained {
  readonly node: string;
  readonly viewers: number;
  readonly elapsedMs: number;
}

const longest = (viewers: readonly { readonly longestGapMs: number }[]): string =>
  Math.max(0, ...viewers.map(({ longestGapMs }) => longestGapMs)).toFixed(0);

/** A cluster with its audience, and how drains ended. */
class Scene implements AsyncDisposable {
  readonly drains: Drained[] = [];
  readonly trial: DrainTrial;
  cluster!: LaptopCluster;
  audience!: Audience;

  private constructor(trial: DrainTrial) {
    this.trial = trial;
  }

  static async open(trial: DrainTrial, edges: number): Promise<Scene> {
    const scene = new Scene(trial);
    const onLog = (_node: string, text: string): void => {
      for (const line of text.split("\n"))
        if (line.includes('"event":"node drained"')) scene.drains.push(JSON.parse(line) as Drained);
    };
    scene.cluster = await startLaptopCluster({ routerPort: 0, edges, onLog });
    scene.audience = new Audience(scene.cluster.url);
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

  /** Nobody noticed anything since the audience was gathered. */
  assertUnnoticed(): string {
    const { audience } = this;
    const black = audience.blackMs;
    const p99 = black[Math.ceil(0.99 * black.length) - 1] ?? 0;
    const stalls = audience.hls.reduce((sum, { playout }) => sum + playout.stalls.length, 0);
    const least = Math.min(...audience.hls.map(({ playout }) => playout.leastMs));
    const requests = audience.hls.reduce((sum, viewer) => sum + viewer.requests, 0);
    const figures = `failed requests: ${audience.failures.length} of ${requests}, HLS stalls: ${stalls} (least in a buffer ${least.toFixed(0)} ms), WebRTC black: p99 ${p99.toFixed(0)} ms, longest ${longest(audience.whep)} ms by WHEP, ${longest(audience.signalled)} ms by signalling`;
    this.trial.say(figures);
    const { pauses } = audience;
    if (pauses.length > 0) this.trial.say(`this process stood still for ${pauses.map(Math.round).join(", ")} ms`);
    assert.deepEqual(audience.failures, []);
    assert.deepEqual(
      audience.hls.flatMap(({ skips }) => skips),
      [],
      "nothing was left out",
    );
    // A pause of the machine can empty each buffer once, and is black for everybody.
    assert.ok(stalls <= pauses.length * audience.hls.length, figures);
    assert.ok(p99 <= blackMs + Math.max(0, ...pauses), figures);
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
  const elsewhere = audience.whep.filter(({ node }) => node !== fullest!.url);
  const { viewers, elapsedMs } = await scene.drain(fullest!.id);
  assert.equal(viewers, 0, "all moved, and it did not end because its time was over");
  assert.ok(elapsedMs <= usualMs, `it took ${elapsedMs} ms`);
  for (const { node } of [...audience.whep, ...audience.hls]) assert.notEqual(node, fullest!.url);
  for (const { nodes } of elsewhere) assert.equal(nodes.length, 1, "who watched elsewhere was left alone");
  await audience.playOn();
  return `${fullest!.viewers} of ${all} viewers moved in ${elapsedMs} ms; ${scene.assertUnnoticed()}`;
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
  const moves = Math.max(...audience.whep.map(({ nodes }) => nodes.length - 1));
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  return `five edges restarted in ${seconds} s, most moves of a viewer ${moves}; ${scene.assertUnnoticed()}`;
}
