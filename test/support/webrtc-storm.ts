// Storms against a running edge: what those who watch notice of them.
import { fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { startEdgeUnderLoad } from "./edge-under-load.ts";
import { percentile, WebRtcAudience } from "./webrtc-audience.ts";

const junkScript = fileURLToPath(new URL("./junk-process.ts", import.meta.url));
const offersScript = fileURLToPath(new URL("./offers-process.ts", import.meta.url));
/** Its part is played on other machines: it yields to the edge. */
const stormNiceness = 10;

/** What the live viewers saw of a storm. */
export interface StormOutcome {
  /** Sessions that ended or got no media afterwards. */
  readonly hurt: number;
  readonly packets: number;
  readonly lost: number;
  /** Milliseconds that pictures came late. */
  readonly lateP99: number;
  readonly lateMost: number;
}

export interface JunkOutcome extends StormOutcome {
  readonly sent: number;
  readonly perSecond: number;
  readonly megabytes: readonly [before: number, after: number];
}

/** Junk at `perSecond` datagrams for `seconds` on the port that `viewers` are served from. */
export async function stormOfJunk(options: {
  readonly viewers: number;
  readonly perSecond: number;
  readonly seconds: number;
}): Promise<JunkOutcome> {
  await using edge = await startEdgeUnderLoad();
  using audience = new WebRtcAudience(edge);
  await audience.gather(options.viewers, 50);
  await sleep(1_000);
  const before = edge.cost.rssBytes;
  const junk = fork(junkScript, [String(audience.all[0]!.remotePort), String(options.perSecond)]);
  setPriority(junk.pid!, stormNiceness);
  let told: readonly unknown[] = [];
  const outcome = await watch(audience, async () => {
    await sleep(options.seconds * 1_000);
    junk.send("enough");
    told = await once(junk, "message");
  });
  const { sent, seconds } = told[0] as { sent: number; seconds: number };
  const after = edge.cost.rssBytes;
  return { ...outcome, sent, perSecond: sent / seconds, megabytes: [before / 1e6, after / 1e6] };
}

export interface OffersOutcome extends StormOutcome {
  /** How many were answered in which way. */
  readonly answers: Readonly<Record<string, number>>;
  /** That all offers took to be sent. */
  readonly seconds: number;
}

/** `offers` players of WHEP within `seconds`, at an edge that `viewers` watch. */
export async function stormOfOffers(options: {
  readonly viewers: number;
  readonly offers: number;
  readonly seconds: number;
}): Promise<OffersOutcome> {
  await using edge = await startEdgeUnderLoad();
  using audience = new WebRtcAudience(edge);
  await audience.gather(options.viewers, 50);
  await sleep(1_000);
  let told: readonly unknown[] = [];
  const outcome = await watch(audience, async () => {
    const crowd = fork(offersScript, [`${edge.url}/app/stream/whep`, String(options.offers), String(options.seconds)]);
    setPriority(crowd.pid!, stormNiceness);
    told = await once(crowd, "message");
  });
  const { outcomes, seconds } = told[0] as { outcomes: Record<string, number>; seconds: number };
  return { ...outcome, answers: outcomes, seconds };
}

async function watch(audience: WebRtcAudience, storm: () => Promise<void>): Promise<StormOutcome> {
  const { all } = audience;
  const sum = (of: (viewer: (typeof all)[number]) => number): number => all.reduce((total, one) => total + of(one), 0);
  const packets = sum((viewer) => viewer.packets);
  const lost = sum((viewer) => viewer.lost);
  const late = await audience.lateness(storm);
  const afterwards = all.map((viewer) => viewer.packets);
  await sleep(1_000);
  return {
    hurt: all.filter((viewer, i) => viewer.isOver || viewer.moves > 0 || viewer.packets === afterwards[i]).length,
    packets: sum((viewer) => viewer.packets) - packets,
    lost: sum((viewer) => viewer.lost) - lost,
    lateP99: percentile(late, 0.99),
    lateMost: percentile(late, 1),
  };
}
