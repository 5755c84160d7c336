// `drain-crowd-process.ts`: viewers in a process of their own, so that neither kind waits for the other's turn. Is sent who joins,
// and asked how they are.
import { HlsViewer } from "./hls-viewer.ts";
import type { LoadMedia } from "./load-media.ts";
import { LoadViewer } from "./load-viewer.ts";
import { LoadWhepViewer } from "./load-whep-viewer.ts";

/** What this process is sent; the last two are answered. */
export type CrowdOrder =
  | { readonly kind: "join"; readonly as: "signalled" | "whep" | "hls"; readonly url: string }
  /** What happened so far is another's business. */
  | { readonly kind: "forget" }
  | { readonly kind: "ask"; readonly id: number }
  | { readonly kind: "leave"; readonly id: number };

/** One viewer; times are Unix ms. */
export interface CrowdMember {
  /** When media last came; null before the first from the node it is with. */
  readonly lastMs: number | null;
  /** URLs of the nodes it was with; empty where its signalling goes through the router and nobody says. */
  readonly nodes: readonly string[];
  /** Longest time without a new picture (WebRTC). */
  readonly longestGapMs: number;
  /** How its last move went (WebRTC): each step, and how many milliseconds after the first. */
  readonly steps: string;
  readonly stalls: number;
  /** The least it held in its buffer when more came (LL-HLS); null before that. */
  readonly leastMs: number | null;
}

export interface CrowdState {
  readonly id: number;
  readonly members: readonly CrowdMember[];
  readonly failures: readonly string[];
  readonly skips: readonly string[];
  readonly requests: number;
  /** How long each time nobody here could play, whoever sent. */
  readonly pauses: readonly number[];
  /** Seconds of CPU that this process has used. */
  readonly cpuSeconds: number;
}

const tickMs = 4;
/** The process stood still for so long: the machine is busy with something else, and no node is to blame. */
const pauseMs = 150;

const signalled: LoadViewer[] = [];
const whep: LoadWhepViewer[] = [];
const hls: HlsViewer[] = [];
const early: string[] = [];
const pauses: number[] = [];

let lastTickMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  if (nowMs - lastTickMs > pauseMs) pauses.push(Math.round(nowMs - lastTickMs));
  lastTickMs = nowMs;
  for (const viewer of signalled) viewer.tick(nowMs);
  for (const viewer of whep) viewer.tick(nowMs);
}, tickMs);

const options = { checkEvery: 1_000_000, isGenuine: () => true };
const failed = (thrown: unknown): void => void early.push(thrown instanceof Error ? thrown.message : String(thrown));

function join({ as, url }: Extract<CrowdOrder, { kind: "join" }>): void {
  if (as === "hls") hls.push(new HlsViewer(url));
  else if (as === "whep") LoadWhepViewer.join(url, options, (viewer) => whep.push(viewer)).catch(failed);
  else LoadViewer.join(url, options, (viewer) => signalled.push(viewer)).catch(failed);
}

const unix = (ms: number | undefined): number | null => (ms === undefined ? null : performance.timeOrigin + ms);

function stepsOf({ steps }: LoadMedia): string {
  const [first] = steps;
  return steps.map(([step, atMs]) => `${step} ${(atMs - first![1]).toFixed(0)}`).join(", ");
}

function stateOf(id: number): CrowdState {
  const webRtc = [...signalled, ...whep].map((viewer) => ({
    lastMs: unix(viewer.lastMs),
    nodes: viewer instanceof LoadWhepViewer ? viewer.nodes : [],
    longestGapMs: viewer.longestGapMs,
    steps: stepsOf(viewer),
    stalls: 0,
    leastMs: null,
  }));
  const segmented = hls.map(({ lastMs, nodes, playout: { stalls, leastMs } }) => ({
    lastMs: unix(lastMs),
    nodes,
    longestGapMs: 0,
    steps: "",
    stalls: stalls.length,
    leastMs: Number.isFinite(leastMs) ? leastMs : null,
  }));
  const { user, system } = process.cpuUsage();
  return {
    id,
    members: [...webRtc, ...segmented],
    failures: [...early, ...[...signalled, ...whep, ...hls].flatMap(({ failures }) => failures)],
    skips: hls.flatMap(({ skips }) => skips),
    requests: hls.reduce((sum, viewer) => sum + viewer.requests, 0),
    pauses,
    cpuSeconds: (user + system) / 1e6,
  };
}

function forget(): void {
  for (const viewer of [...signalled, ...whep]) viewer.longestGapMs = 0;
  for (const { playout } of hls) playout.restart();
  pauses.length = 0;
}

async function leave(id: number): Promise<void> {
  for (const viewer of signalled) viewer.close();
  await Promise.all([...whep.map((viewer) => viewer.leaveForGood()), ...hls.map((viewer) => viewer.close())]);
  process.send!(stateOf(id), undefined, undefined, () => process.exit(0));
}

process.on("message", (order: CrowdOrder) => {
  if (order.kind === "join") join(order);
  else if (order.kind === "forget") forget();
  else if (order.kind === "ask") process.send!(stateOf(order.id), undefined, undefined, () => {});
  else void leave(order.id);
});
process.on("disconnect", () => process.exit(0));
