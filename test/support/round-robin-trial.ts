// Players whose every request goes to another edge: whole nodes behind a balancer, one of them killed and started again.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import type { NodeProcess } from "../../infra/laptop/node-process.ts";
import { EdgeComparison } from "./compare-edges.ts";
import { runProgram } from "./ffmpeg.ts";
import { playerFiles, playInChromium, type Playback } from "./hls-player.ts";
import { startRoundRobin } from "./round-robin.ts";

export interface RoundRobinOptions {
  /** How long both players play. */
  readonly seconds: number;
  /** How much later than the first the second edge gets the stream. */
  readonly apartMs: number;
  /** Watched alone, for a figure of seconds behind live. */
  readonly maxBehindSeconds?: number;
}

const framesPerSecond = 25;
const path = "app/stream/";
/**
 * hls.js and ffmpeg play through two edges in turn, of which one is killed and started again meanwhile.
 * @returns a sentence with what was seen
 * @throws AssertionError where a player or a comparison of the edges noticed
 */
export async function playRoundRobin({ seconds, apartMs, maxBehindSeconds }: RoundRobinOptions): Promise<string> {
  const cluster = await startLaptopCluster({ routerPort: 0, edges: 2, nodeEnv: { HEARTH_UNUSED_MS: "60000" } });
  const router = `${cluster.url}/${path}llhls.m3u8`;
  // The router sends the first viewer somewhere: that edge is the first one.
  const { url: begun } = await fetch(router);
  const balancer = await startRoundRobin([new URL(begun).origin], (asked, response) =>
    serveFirst(asked, router, response),
  );
  try {
    const edges = [...cluster.nodes.values()].filter(({ id }) => id.startsWith("edge"));
    const second = edges.find(({ id }) => cluster.ready.get(id)!.url !== new URL(begun).origin)!;
    const secondUrl = cluster.ready.get(second.id)!.url!;
    const master = await keepWatching(`${balancer.baseUrl}/${path}llhls.m3u8`, apartMs);
    balancer.add(secondUrl);
    const url = `${balancer.baseUrl}/${path}llhls.m3u8`;
    const hls = playInChromium(balancer.baseUrl, seconds);
    const ffmpeg = decodeFor(url, seconds);
    const bases = [`${new URL(begun).origin}/${path}`, `${secondUrl}/${path}`] as const;
    const [playback, decoded, { compared, restarted }] = await Promise.all([
      hls,
      ffmpeg,
      compareAndRestart(bases, master, second, seconds),
    ]);
    const { answers, retries } = balancer;
    const seen =
      `${answers.length} requests in ${seconds} s, ${retries} left by an edge that was away for ${restarted} ms; ` +
      `${playback.stalls} stalls, ${playback.frames} pictures in hls.js and ${decoded.frames} in ffmpeg; ` +
      `${compared.playlists} playlists and ${compared.files} files compared; ${describe(playback)}`;
    const bad = answers.filter((answer) => !/^20[06] /.test(answer) && !answer.includes("favicon"));
    assert.deepEqual([...bad, ...playback.errors], [], seen);
    assert.equal(playback.stalls, 0, seen);
    assert.equal(decoded.stderr, "", seen);
    assert.ok(decoded.frames >= (seconds - 1) * framesPerSecond, seen);
    assert.deepEqual(compared.differences, [], seen);
    if (maxBehindSeconds !== undefined) judge(playback, maxBehindSeconds, seen);
    return seen;
  } finally {
    await balancer.close();
    await cluster.close();
  }
}

/** The page, and the master playlist, for which the router's ticket is needed: all else goes to the edges in turn. */
function serveFirst(asked: string, router: string, response: ServerResponse): boolean {
  const file = playerFiles(asked);
  if (file) response.writeHead(200, { "Content-Type": file.type }).end(file.body);
  const isMaster = asked.endsWith("/llhls.m3u8");
  if (isMaster) void passOn(router, response);
  return file !== undefined || isMaster;
}

async function passOn(url: string, response: ServerResponse): Promise<void> {
  const answer = await fetch(url).catch(() => new Response(null, { status: 502 }));
  response.writeHead(answer.status, { "Content-Type": "application/vnd.apple.mpegurl" }).end(await answer.text());
}

/** Someone watches the first edge until the second may join. @returns the master playlist */
async function keepWatching(url: string, forMs: number): Promise<string> {
  const master = await (await fetch(url)).text();
  const media = new URL(/^chunklist_.*$/m.exec(master)![0], url);
  for (const endMs = performance.now() + forMs; performance.now() < endMs; await sleep(1_000)) {
    const answer = await fetch(media);
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
  }
  return master;
}

async function decodeFor(url: string, seconds: number): Promise<{ frames: number; stderr: string }> {
  const args = ["-nostdin", "-v", "error", "-progress", "-", "-i", url, "-t", String(seconds), "-f", "null", "-"];
  const { stdout, stderr } = await runProgram("ffmpeg", args, (seconds * 1.5 + 60) * 1_000);
  return { frames: Number([...stdout.matchAll(/^frame=(\d+)/gm)].at(-1)?.[1] ?? 0), stderr };
}

/** Compares the edges all the time; in between the second one is killed and started again. */
async function compareAndRestart(
  bases: readonly [string, string],
  master: string,
  second: NodeProcess,
  seconds: number,
): Promise<{ compared: EdgeComparison; restarted: number }> {
  const compared = new EdgeComparison(bases);
  const playlists = [...new Set(master.match(/chunklist_[^"\n]+/g))];
  assert.equal(playlists.length, 2);
  const rounds = async (endMs: number): Promise<void> => {
    for (; performance.now() < endMs; await sleep(1_000))
      for (const list of playlists) await compared.compareNext(list);
  };
  const beganMs = performance.now();
  await rounds(beganMs + seconds * 400);
  const killedMs = performance.now();
  await second.stop("SIGKILL");
  await second.start();
  const restarted = Math.round(performance.now() - killedMs);
  await rounds(Math.max(beganMs + seconds * 1_000 - 2_000, performance.now() + 2_000));
  return { compared, restarted };
}

function judge(playback: Playback, maxBehindSeconds: number, seen: string): void {
  const { first, last, worst } = behindOf(playback);
  assert.ok(worst <= maxBehindSeconds, seen);
  assert.ok(Math.abs(last - first) <= 0.2, `drifts: ${seen}`);
}

/**
 * Medians of the first and the last tenth, and what a twentieth of the time was exceeded, but for what the browser itself lost.
 * The first seconds are the start.
 */
function behindOf({ behind, lost }: Playback): { first: number; last: number; worst: number } {
  const steady = behind.map((seconds, index) => seconds - lost[index]!).slice(5);
  const share = Math.max(5, Math.floor(steady.length / 10));
  const at = (values: readonly number[], part: number): number =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length * part)]!;
  return { first: at(steady.slice(0, share), 0.5), last: at(steady.slice(-share), 0.5), worst: at(steady, 0.95) };
}

function describe(playback: Playback): string {
  const { first, last, worst } = behindOf(playback);
  const own = `${playback.latency.toFixed(2)} s by its own count`;
  const lost = `with ${playback.lost.at(-1)!.toFixed(2)} s that the browser itself lost`;
  return (
    `hls.js is ${first.toFixed(2)} s behind live at first, ${last.toFixed(2)} s at last, ${worst.toFixed(2)} s or less for 95 % ` +
    `of the time (${own}, ${lost}): ${seriesOf(playback)}`
  );
}

const seriesOf = ({ behind }: Playback): string =>
  behind
    .filter((_, index) => index % Math.ceil(behind.length / 20) === 0)
    .map((value) => value.toFixed(2))
    .join(" ");
