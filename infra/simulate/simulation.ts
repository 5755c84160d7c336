import { chooseNode } from "#cluster/node-choice/choose-node.ts";
import type { ClusterView } from "#cluster/node-choice/cluster-view.ts";
import { RecentAssignments } from "#cluster/node-choice/recent-assignments.ts";
import { randomFrom, zipf } from "./random.ts";
import { SimulatedNode } from "./simulated-node.ts";

export interface SimulationOptions {
  readonly nodes: number;
  /** Mean number of viewers at a time; the day's curve goes from half of it to one and a half. */
  readonly viewers: number;
  readonly streams: number;
  /** Exponent of popularity: 0 all alike, 1 as observed of most catalogues. */
  readonly zipf: number;
  readonly hours: number;
  /** How long a viewer stays, on average. */
  readonly stayMinutes: number;
  /** How often some node is lost, on average; it returns five minutes later. */
  readonly lossEveryMinutes: number;
  /** Share of reports that get lost on the way. */
  readonly lostReports: number;
  /** Routers that decide without knowing of each other. */
  readonly routers: number;
  readonly seed: number;
}

/** The cluster once a minute. */
export interface Sample {
  readonly minute: number;
  readonly viewers: number;
  readonly upNodes: number;
  /** Most loaded node over the mean of those that are up. */
  readonly maxOverMean: number;
  /** Streams × nodes that carry them. */
  readonly pulls: number;
  /** What no router could do without while keeping every node within 1.25 × the mean. */
  readonly leastPulls: number;
}

export interface SimulationResult {
  readonly samples: readonly Sample[];
  readonly joins: number;
  readonly losses: number;
  /** Viewers who found no node. */
  readonly refused: number;
  /** Viewers sent to a node that was down, before its record ran out. */
  readonly misled: number;
  /** Microseconds of one decision, mean. */
  readonly decisionUs: number;
}

const reportEveryS = 2;
const returnAfterS = 300;
/** A player that lost its node comes back within these seconds. */
const comeBackS = 3;
const warmUpMinutes = 10;

/** A day of a cluster under the real decision code: joins, leaves, nodes lost, reports lost. Same seed, same day. */
export class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: () => number;
  readonly #drawStream: () => number;
  readonly #names: string[];
  readonly #nodes: SimulatedNode[];
  readonly #reportedS: number[];
  readonly #returnS: number[];
  readonly #assigned: RecentAssignments[];
  /** What happens in each second to come: viewers who leave, viewers who come back. */
  readonly #leaving = new Map<number, { node: SimulatedNode; stream: number; visit: object }[]>();
  readonly #returning = new Map<number, number[]>();
  /** Viewers by node, so that a lost node's can be sent away. */
  readonly #visits = new Map<SimulatedNode, Map<object, number>>();
  readonly #viewersOf: Int32Array;
  #view: ClusterView = { nowMs: 0, nodes: [], refused: [] };
  #counts = { joins: 0, losses: 0, refused: 0, misled: 0, decisions: 0, decisionMs: 0 };

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = randomFrom(options.seed);
    this.#drawStream = zipf(options.streams, options.zipf, this.#random);
    this.#names = Array.from({ length: options.streams }, (_, stream) => `default/app/s${stream}`);
    const capacity = Math.ceil((options.viewers / options.nodes) * 2.5);
    this.#nodes = Array.from({ length: options.nodes }, (_, index) => new SimulatedNode(`edge-${index}`, capacity));
    this.#reportedS = this.#nodes.map(() => 0);
    this.#returnS = this.#nodes.map(() => 0);
    this.#assigned = Array.from({ length: options.routers }, () => new RecentAssignments());
    this.#viewersOf = new Int32Array(options.streams);
    for (const node of this.#nodes) this.#visits.set(node, new Map());
  }

  run(): SimulationResult {
    const samples: Sample[] = [];
    const seconds = Math.round(this.#options.hours * 3_600);
    for (let second = 1; second <= seconds; second++) {
      this.#report(second);
      this.#loseAndReturn(second);
      this.#leave(second);
      this.#join(second);
      if (second % 60 === 0 && second / 60 >= warmUpMinutes) samples.push(this.#sample(second / 60));
    }
    const { decisions, decisionMs, ...counts } = this.#counts;
    return { samples, ...counts, decisionUs: decisions > 0 ? (decisionMs / decisions) * 1_000 : 0 };
  }

  /** Nodes report in turn, so that not all reports are equally old; then the routers see the cluster anew. */
  #report(second: number): void {
    this.#nodes.forEach((node, index) => {
      if (!node.isUp || (second + index) % reportEveryS !== 0 || this.#random() < this.#options.lostReports) return;
      node.report((stream) => this.#names[stream]!);
      this.#reportedS[index] = second;
    });
    const nodes = this.#nodes
      .map((node, index) => ({ node, ageS: second - this.#reportedS[index]! }))
      .filter(({ ageS }) => ageS <= 60)
      .map(({ node, ageS }) => node.view(ageS));
    this.#view = { nowMs: second * 1_000, nodes, refused: [] };
  }

  #loseAndReturn(second: number): void {
    this.#nodes.forEach((node, index) => {
      if (!node.isUp && second >= this.#returnS[index]!) node.isUp = true;
    });
    const chance = this.#options.lossEveryMinutes > 0 ? 1 / (60 * this.#options.lossEveryMinutes) : 0;
    if (this.#random() >= chance) return;
    const index = Math.floor(this.#random() * this.#nodes.length);
    const node = this.#nodes[index]!;
    if (!node.isUp) return;
    node.isUp = false;
    this.#returnS[index] = second + returnAfterS;
    this.#counts.losses++;
    for (const [visit, stream] of this.#visits.get(node)!) {
      this.#end(node, visit, stream);
      this.#comeBack(stream, second);
    }
  }

  #comeBack(stream: number, second: number): void {
    const at = second + 1 + Math.floor(this.#random() * comeBackS);
    const due = this.#returning.get(at);
    if (due) due.push(stream);
    else this.#returning.set(at, [stream]);
  }

  #leave(second: number): void {
    for (const { node, stream, visit } of this.#leaving.get(second) ?? [])
      if (this.#visits.get(node)!.has(visit)) this.#end(node, visit, stream);
    this.#leaving.delete(second);
  }

  #end(node: SimulatedNode, visit: object, stream: number): void {
    this.#visits.get(node)!.delete(visit);
    node.leave(stream);
    this.#viewersOf[stream]!--;
  }

  #join(second: number): void {
    const { viewers, stayMinutes, hours } = this.#options;
    for (const stream of this.#returning.get(second) ?? []) this.#send(stream, second);
    this.#returning.delete(second);
    const curve = 1 + 0.5 * Math.sin((second / (hours * 3_600)) * 2 * Math.PI);
    const perSecond = (viewers * curve) / (stayMinutes * 60);
    // The day begins with its viewers there: half of a stay would pass before they gathered.
    const opening = second <= 120 ? viewers / 120 : 0;
    const count = Math.floor(perSecond + opening + this.#random());
    for (let i = 0; i < count; i++) this.#send(this.#drawStream(), second);
  }

  #send(stream: number, second: number): void {
    const router = this.#assigned[Math.floor(this.#random() * this.#assigned.length)]!;
    const nowMs = second * 1_000;
    const name = { vhost: "default", app: "app", stream: `s${stream}` };
    const startMs = performance.now();
    const { node: record } = chooseNode(this.#view, {
      name,
      protocol: "llhls",
      ...router.about(this.#names[stream]!, nowMs),
    });
    this.#counts.decisionMs += performance.now() - startMs;
    this.#counts.decisions++;
    if (!record) {
      this.#counts.refused++;
      return;
    }
    router.add(record.id, this.#names[stream]!, nowMs);
    const node = this.#nodes.find(({ id }) => id === record.id)!;
    if (!node.isUp) {
      this.#counts.misled++;
      this.#comeBack(stream, second);
      return;
    }
    this.#counts.joins++;
    const visit = {};
    node.join(stream);
    this.#viewersOf[stream]!++;
    this.#visits.get(node)!.set(visit, stream);
    const staysS = Math.ceil(-Math.log(1 - this.#random()) * this.#options.stayMinutes * 60);
    const due = this.#leaving.get(second + staysS);
    if (due) due.push({ node, stream, visit });
    else this.#leaving.set(second + staysS, [{ node, stream, visit }]);
  }

  #sample(minute: number): Sample {
    const up = this.#nodes.filter(({ isUp }) => isUp);
    const viewers = up.reduce((sum, node) => sum + node.viewers, 0);
    const mean = viewers / up.length;
    let leastPulls = 0;
    for (const watching of this.#viewersOf) if (watching > 0) leastPulls += Math.ceil(watching / (1.25 * mean));
    return {
      minute,
      viewers,
      upNodes: up.length,
      maxOverMean: Math.max(...up.map((node) => node.viewers)) / mean,
      pulls: up.reduce((sum, node) => sum + node.pulls, 0),
      leastPulls,
    };
  }
}

/** Share of streams whose node changes when one of `nodes` leaves; 1/n is the least that is possible. */
export function movedShare(nodeCount: number, streamCount: number): number {
  const nodes = Array.from({ length: nodeCount }, (_, index) => new SimulatedNode(`edge-${index}`, 1_000).view(0));
  const chosen = (among: ClusterView["nodes"], stream: number) =>
    chooseNode(
      { nowMs: 0, nodes: among, refused: [] },
      { name: { vhost: "default", app: "app", stream: `s${stream}` }, protocol: "llhls" },
    ).node?.id;
  let moved = 0;
  for (let stream = 0; stream < streamCount; stream++)
    if (chosen(nodes, stream) !== chosen(nodes.slice(1), stream)) moved++;
  return moved / streamCount;
}
