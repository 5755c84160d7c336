import { chooseNode } from "#cluster/node-choice/choose-node.ts";
import { RecentAssignments } from "#cluster/node-choice/recent-assignments.ts";
import type { NodeView } from "#cluster/node-choice/cluster-view.ts";
import { randomFrom } from "./random.ts";
import { SimulatedNode } from "./simulated-node.ts";

export interface HerdOptions {
  readonly nodes: number;
  /** Who all want the same new stream. */
  readonly joins: number;
  readonly seconds: number;
  /** Isolates that decide without knowing of each other. */
  readonly routers: number;
  readonly seed: number;
}

export interface HerdResult {
  /** Nodes that had to pull the stream from its origin. */
  readonly pulls: number;
  /** Viewers of the fullest node against the mean, when all have come. */
  readonly maxOverMean: number;
  readonly refused: number;
}

const stepMs = 50;
const reportEveryMs = 2_000;
const readEveryMs = 1_000;
const name = { vhost: "default", app: "app", stream: "s0" };
const key = "default/app/s0";

/**
 * Everybody comes at once: a stream begins, and thousands join it within seconds, faster than nodes report. Routers know what
 * they read up to a second ago, and whom they sent themselves.
 */
export function simulateHerd({ nodes: count, joins, seconds, routers: routerCount, seed }: HerdOptions): HerdResult {
  const random = randomFrom(seed);
  const capacity = Math.ceil((joins / count) * 2.5);
  const nodes = Array.from({ length: count }, (_, index) => new SimulatedNode(`edge-${index}`, capacity));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const reportAt = nodes.map(() => random() * reportEveryMs);
  const routers = Array.from({ length: routerCount }, () => ({
    assigned: new RecentAssignments(),
    readAtMs: random() * readEveryMs,
    view: nodes.map((node): NodeView => node.view(0)),
  }));
  let refused = 0;
  let joined = 0;
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += stepMs) {
    nodes.forEach((node, index) => {
      if (nowMs < reportAt[index]!) return;
      reportAt[index]! += reportEveryMs;
      node.report(() => key);
    });
    for (const router of routers) {
      if (nowMs < router.readAtMs) continue;
      router.readAtMs += readEveryMs;
      router.view = nodes.map((node) => node.view(0));
    }
    const due = Math.round(((nowMs + stepMs) * joins) / (seconds * 1_000));
    for (; joined < due; joined++) {
      const { assigned, view } = routers[Math.floor(random() * routerCount)]!;
      const request = { name, protocol: "llhls", ...assigned.about(key, nowMs) } as const;
      const { node } = chooseNode({ nowMs, nodes: view, refused: [] }, request);
      if (!node) {
        refused++;
        continue;
      }
      assigned.add(node.id, key, nowMs);
      byId.get(node.id)!.join(0);
    }
  }
  const loads = nodes.map(({ viewers }) => viewers);
  const mean = loads.reduce((sum, load) => sum + load, 0) / count;
  return { pulls: loads.filter((load) => load > 0).length, maxOverMean: Math.max(...loads) / mean, refused };
}
