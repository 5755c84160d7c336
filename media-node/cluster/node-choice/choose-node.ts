import type { ClusterStreamName, NodeRecord } from "../store/contract.ts";
import type { ViewerProtocol } from "../ticket/ticket.ts";
import { carries, recordKey, type ClusterView, type NodeView } from "./cluster-view.ts";
import { nearness, type ViewerPlace } from "./nearness.ts";
import { hashText, rendezvousScore } from "./rendezvous.ts";

/** What a viewer asks for. */
export interface NodeRequest {
  readonly name: ClusterStreamName;
  readonly protocol: ViewerProtocol;
  readonly place?: ViewerPlace | undefined;
  /** Nodes that failed a moment ago, by id. */
  readonly avoid?: ReadonlySet<string> | undefined;
  /** Viewers sent to each node that its report cannot count yet. */
  readonly assigned?: ReadonlyMap<string, number> | undefined;
}

/** A node considered, with the words an operator reads. */
export interface Considered {
  readonly node: string;
  readonly reason: string;
}

export type NodeChoice =
  | {
      readonly node: NodeRecord;
      /** Why this one, as a sentence. */
      readonly reason: string;
      /** Who would have been next, best first; at most three. */
      readonly runnersUp: readonly Considered[];
      readonly excluded: readonly Considered[];
    }
  | { readonly node: undefined; readonly reason: string; readonly excluded: readonly Considered[] };

/** A node takes viewers up to this multiple of the mean load, then its streams spill to the next in rank. */
const loadFactor = 1.2;
/** Below this share of its capacity no node is "loaded", whatever the mean: spilling then would only cost pulls. */
const idleShare = 0.05;
/** And never below this many viewers. */
const idleViewers = 4;
/** Above this share of capacity or of a core a node is busy: others first, the nearest region included. */
const busyShare = 0.9;

/** What a node without a limit weighs beside others. */
const usualCapacity = 1_000;

/** How much of the load a node should get, in viewers: its limit, where it has one. */
export function capacityOf(record: NodeRecord): number {
  return record.maxViewers > 0 ? record.maxViewers : usualCapacity;
}

const fullAt = (record: NodeRecord): number => (record.maxViewers > 0 ? record.maxViewers : Number.POSITIVE_INFINITY);

interface Candidate {
  readonly record: NodeRecord;
  readonly isSilent: boolean;
  readonly near: number;
  readonly isCarrier: boolean;
  readonly score: number;
  readonly load: number;
  readonly isBusy: boolean;
}

/**
 * Chooses the node for a viewer: the nearest region first; in it the nodes that carry the stream already, then rendezvous
 * hashing, passing over nodes above {@link loadFactor} × the mean load. Pure: the same arguments give the same choice, in
 * the router, in `explain`, in the simulator.
 */
export function chooseNode(view: ClusterView, request: NodeRequest): NodeChoice {
  const { candidates, silent, excluded } = sift(view, request);
  const ranked = rank(candidates);
  const best = ranked[0] ?? lastResort(view, silent);
  if (!best) return { node: undefined, reason: noNodeReason(view, excluded, request), excluded };
  const runnersUp = ranked.slice(1, 4).map(({ candidate, why }) => ({ node: candidate.record.id, reason: why }));
  return { node: best.candidate.record, reason: best.why, runnersUp, excluded };
}

function sift(view: ClusterView, request: NodeRequest) {
  const key = recordKey(request.name);
  const keyHash = hashText(key);
  const candidates: Candidate[] = [];
  const silent: Candidate[] = [];
  const excluded: Considered[] = view.refused.map(({ id, reason }) => ({ node: id, reason }));
  for (const node of view.nodes) {
    const reason = whyNot(node.record, request);
    if (reason) {
      excluded.push({ node: node.record.id, reason });
      continue;
    }
    const candidate = weigh(node, request, key, keyHash);
    if (node.isSilent) silent.push(candidate);
    else if (node.record.viewers >= fullAt(node.record))
      // By its own report only: what was assigned may never arrive, and whoever repeats a request must not fill a node.
      excluded.push({
        node: node.record.id,
        reason: `it is full: ${node.record.viewers} of ${node.record.maxViewers} viewers`,
      });
    else candidates.push(candidate);
  }
  return { candidates, silent, excluded };
}

function whyNot(record: NodeRecord, request: NodeRequest): string | undefined {
  if (record.state !== "serving") return `it is ${record.state}`;
  if (!record.protocols.includes(request.protocol)) return `it does not deliver ${request.protocol}`;
  return request.avoid?.has(record.id) ? "it failed a moment ago" : undefined;
}

function weigh(node: NodeView, request: NodeRequest, key: string, keyHash: number): Candidate {
  const { record, isSilent } = node;
  const load = record.viewers + (request.assigned?.get(record.id) ?? 0);
  return {
    record,
    isSilent,
    near: nearness(record.region, request.place),
    isCarrier: carries(record, key),
    score: rendezvousScore(keyHash, node.hash, capacityOf(record)),
    load,
    isBusy: load >= busyShare * fullAt(record) || record.cpu >= busyShare,
  };
}

interface Ranked {
  readonly candidate: Candidate;
  readonly why: string;
}

/** The best four, best first. */
function rank(candidates: readonly Candidate[]): Ranked[] {
  const bounds = loadBounds(candidates);
  const withinBound = (candidate: Candidate) => candidate.load + 1 <= boundOf(candidate, bounds);
  const grade = (candidate: Candidate) =>
    (candidate.isBusy ? 0 : 8) + candidate.near * 2 + (withinBound(candidate) ? 1 : 0);
  const graded = candidates.map((candidate) => ({ candidate, grade: grade(candidate) }));
  const top: typeof graded = [];
  // One pass and a short list: sorting a thousand nodes for the first four is what would cost.
  for (const entry of graded) {
    let at = top.length;
    while (at > 0 && isBetter(entry, top[at - 1]!)) at--;
    if (at < 4) {
      top.splice(at, 0, entry);
      if (top.length > 4) top.pop();
    }
  }
  const skipped = passedOver(candidates, top[0]?.candidate, withinBound);
  return top.map(({ candidate }, index) => ({
    candidate,
    why: describe(candidate, withinBound(candidate), index === 0 ? skipped : 0),
  }));
}

function isBetter(a: { candidate: Candidate; grade: number }, b: { candidate: Candidate; grade: number }): boolean {
  if (a.grade !== b.grade) return a.grade > b.grade;
  // Everyone of this grade is over the bound: the least loaded, not the first by hash.
  const isOverBound = a.grade % 2 === 0;
  if (isOverBound && share(a.candidate) !== share(b.candidate)) return share(a.candidate) < share(b.candidate);
  if (a.candidate.isCarrier !== b.candidate.isCarrier) return a.candidate.isCarrier;
  if (a.candidate.score !== b.candidate.score) return a.candidate.score > b.candidate.score;
  return a.candidate.record.id < b.candidate.record.id;
}

const share = (candidate: Candidate): number => candidate.load / capacityOf(candidate.record);

/** Load and capacity of each distance: the mean that counts is that of the nodes a viewer would be spread over. */
function loadBounds(candidates: readonly Candidate[]): { load: number; capacity: number }[] {
  const sums = Array.from({ length: 4 }, () => ({ load: 0, capacity: 0 }));
  for (const { near, load, record } of candidates) {
    sums[near]!.load += load;
    sums[near]!.capacity += capacityOf(record);
  }
  return sums;
}

function boundOf(candidate: Candidate, sums: readonly { load: number; capacity: number }[]): number {
  const { load, capacity } = sums[candidate.near]!;
  const fairShare = ((load + 1) * capacityOf(candidate.record)) / capacity;
  return Math.max(Math.ceil(loadFactor * fairShare), idleViewers, idleShare * capacityOf(candidate.record));
}

/** How many nodes stand before the chosen one by carrying and hash, and were passed over because of their load. */
function passedOver(
  candidates: readonly Candidate[],
  chosen: Candidate | undefined,
  withinBound: (candidate: Candidate) => boolean,
): number {
  if (!chosen) return 0;
  const isAhead = (other: Candidate) =>
    other.isCarrier === chosen.isCarrier ? other.score > chosen.score : other.isCarrier;
  return candidates.filter(
    (other) => isAhead(other) && other.near === chosen.near && (other.isBusy || !withinBound(other)),
  ).length;
}

const nearnessWords = ["", "on the viewer's continent, ", "in the viewer's country, ", "at the viewer's data centre, "];

function describe(candidate: Candidate, isWithinBound: boolean, skipped: number): string {
  const base = candidate.isCarrier ? "it carries the stream already" : "it is first by rendezvous hash";
  const load = `${candidate.load} of ${candidate.record.maxViewers || "any number of"} viewers`;
  const spill = skipped === 0 ? "" : `; ${skipped} ahead of it ${skipped === 1 ? "was" : "were"} passed over for load`;
  const over = isWithinBound ? "" : "; all are above the mean load, it has the most room";
  return `${nearnessWords[candidate.near]}${base}, ${load}${candidate.isBusy ? ", busy" : ""}${spill}${over}`;
}

/**
 * Fewer than half of the nodes report: then the reports are the likelier fault, and rather than refuse viewers those that
 * fell silent are used, the one with the most room first.
 */
function lastResort(view: ClusterView, silent: readonly Candidate[]): Ranked | undefined {
  const reporting = view.nodes.filter((node) => !node.isSilent).length;
  if (reporting * 2 >= view.nodes.length) return undefined;
  const candidate = silent.toSorted(
    (a, b) => Number(b.isCarrier) - Number(a.isCarrier) || share(a) - share(b) || b.score - a.score,
  )[0];
  return (
    candidate && {
      candidate,
      why: "its report is missing, but so are most: the reports are not trusted to be complete",
    }
  );
}

function noNodeReason(view: ClusterView, excluded: readonly Considered[], request: NodeRequest): string {
  if (view.nodes.length === 0 && excluded.length === 0) return "no node has reported to the store";
  const reasons = new Map<string, number>();
  for (const { reason } of excluded) {
    const kind = reason.replace(/:.*/, "");
    reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
  }
  const list = [...reasons].map(([reason, count]) => `${count} × ${reason}`).join(", ");
  return `no node can deliver ${request.protocol} now (${list || "those known have fallen silent"})`;
}
