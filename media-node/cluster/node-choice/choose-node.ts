import type { ClusterStreamName, NodeRecord } from "../store/contract.ts";
import type { ViewerProtocol } from "../ticket/ticket.ts";
import { carries, recordKey, type ClusterView } from "./cluster-view.ts";
import { nearness, placeWords, type ViewerPlace } from "./nearness.ts";
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

/** A node that would have been next. */
export interface RunnerUp extends Considered {
  readonly record: NodeRecord;
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
      readonly runnersUp: readonly RunnerUp[];
      readonly excluded: readonly Considered[];
    }
  | { readonly node: undefined; readonly reason: string; readonly excluded: readonly Considered[] };

/**
 * Up to this multiple of the mean load a node takes viewers of any stream; above it only of streams it carries, and only
 * up to the second. A stream with few viewers so stays on one node, and streams with many even out the load.
 */
const evenFactor = 1.1;
const mostFactor = 1.2;
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

/** 2: at most the even load; 1: not above the most; 0: above. */
type Room = 0 | 1 | 2;

interface Candidate {
  readonly record: NodeRecord;
  readonly capacity: number;
  readonly near: number;
  readonly isCarrier: boolean;
  readonly score: number;
  readonly load: number;
  readonly isBusy: boolean;
  readonly isLate: boolean;
  /** What follows once all are weighed: how its load compares, and its place, the better the higher. */
  room: Room;
  grade: number;
}

/**
 * Chooses the node for a viewer: the nearest region first; in it the nodes that carry the stream already, then rendezvous
 * hashing, passing over nodes above {@link mostFactor} × the mean load. Pure: the same arguments give the same choice, in
 * the router, in `explain`, in the simulator.
 */
export function chooseNode(view: ClusterView, request: NodeRequest): NodeChoice {
  const { candidates, silent, excluded } = sift(view, request);
  const ranked = rank(candidates);
  const best = ranked[0] ?? lastResort(view, silent);
  if (!best) return { node: undefined, reason: noNodeReason(view, excluded, request), excluded };
  const runnersUp = ranked.slice(1, 4).map(({ candidate, why }) => ({
    node: candidate.record.id,
    reason: why,
    record: candidate.record,
  }));
  return { node: best.candidate.record, reason: best.why, runnersUp, excluded };
}

function sift(view: ClusterView, request: NodeRequest) {
  const key = recordKey(request.name);
  const keyHash = hashText(key);
  const place = placeWords(request.place);
  const candidates: Candidate[] = [];
  const silent: Candidate[] = [];
  const excluded: Considered[] = view.refused.map(({ id, reason }) => ({ node: id, reason }));
  for (const node of view.nodes) {
    const { record } = node;
    const reason = whyNot(record, request) ?? (node.isSilent ? undefined : fullness(record));
    if (reason) {
      excluded.push({ node: record.id, reason });
      continue;
    }
    const load = record.viewers + (request.assigned?.get(record.id) ?? 0);
    const capacity = capacityOf(record);
    (node.isSilent ? silent : candidates).push({
      record,
      capacity,
      near: nearness(node.region, place),
      isCarrier: carries(node, key),
      score: rendezvousScore(keyHash, node.hash, capacity),
      load,
      isBusy: (record.maxViewers > 0 && load >= busyShare * capacity) || record.cpu >= busyShare,
      isLate: node.isLate,
      room: 0,
      grade: 0,
    });
  }
  return { candidates, silent, excluded };
}

function whyNot(record: NodeRecord, request: NodeRequest): string | undefined {
  if (record.state !== "serving") return `it is ${record.state}`;
  if (!record.protocols.includes(request.protocol)) return `it does not deliver ${request.protocol}`;
  return request.avoid?.has(record.id) ? "it failed a moment ago" : undefined;
}

/** By its own report only: what was assigned may never arrive, and whoever repeats a request must not fill a node. */
function fullness({ viewers, maxViewers }: NodeRecord): string | undefined {
  return maxViewers > 0 && viewers >= maxViewers ? `it is full: ${viewers} of ${maxViewers} viewers` : undefined;
}

interface Ranked {
  readonly candidate: Candidate;
  readonly why: string;
}

/** The best four, best first. */
function rank(candidates: readonly Candidate[]): Ranked[] {
  gradeAll(candidates);
  const top: Candidate[] = [];
  // One pass and a short list: sorting a thousand nodes for the first four is what would cost.
  for (const candidate of candidates) {
    let at = top.length;
    while (at > 0 && isBetter(candidate, top[at - 1]!)) at--;
    if (at === 4) continue;
    top.splice(at, 0, candidate);
    if (top.length > 4) top.pop();
  }
  return top.map((candidate, index) => ({
    candidate,
    why: describe(candidate, index, index === 0 ? passedOver(candidates, candidate) : 0),
  }));
}

/** Not late before not busy before near before load and carrying. The mean that counts is that of the nodes equally near. */
function gradeAll(candidates: readonly Candidate[]): void {
  const load = [1, 1, 1, 1];
  const capacity = [0, 0, 0, 0];
  for (const candidate of candidates) {
    load[candidate.near]! += candidate.load;
    capacity[candidate.near]! += candidate.capacity;
  }
  for (const candidate of candidates) {
    const fairShare = (load[candidate.near]! * candidate.capacity) / capacity[candidate.near]!;
    const idle = Math.max(idleViewers, idleShare * candidate.capacity);
    candidate.room = roomFor(candidate.load + 1, fairShare, idle);
    candidate.grade =
      (candidate.isLate ? 0 : 64) + (candidate.isBusy ? 0 : 32) + candidate.near * 8 + preference(candidate);
  }
}

function roomFor(load: number, fairShare: number, idle: number): Room {
  if (load <= Math.max(Math.ceil(evenFactor * fairShare), idle)) return 2;
  return load <= Math.ceil(mostFactor * fairShare) ? 1 : 0;
}

/** A carrier with any room spares a pull; one above the most is no better than any other. */
function preference({ room, isCarrier }: Candidate): number {
  if (room === 0) return 0;
  return isCarrier ? 2 + room : room;
}

const share = ({ load, capacity }: Candidate): number => load / capacity;

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.grade !== b.grade) return a.grade > b.grade;
  // Everyone of this grade is above the even load: the least loaded, not the first by hash.
  if (a.room < 2 && share(a) !== share(b)) return share(a) < share(b);
  if (a.isCarrier !== b.isCarrier) return a.isCarrier;
  if (a.score !== b.score) return a.score > b.score;
  return a.record.id < b.record.id;
}

/** How many nodes stand before the chosen one by carrying and hash, and were passed over because of their load. */
function passedOver(candidates: readonly Candidate[], chosen: Candidate): number {
  let count = 0;
  for (const other of candidates) {
    const isAhead = other.isCarrier === chosen.isCarrier ? other.score > chosen.score : other.isCarrier;
    if (isAhead && other.near === chosen.near && (other.isLate || other.isBusy || other.room < chosen.room)) count++;
  }
  return count;
}

const nearnessWords = ["", "on the viewer's continent, ", "in the viewer's country, ", "at the viewer's data centre, "];

function describe(candidate: Candidate, index: number, skipped: number): string {
  const base = candidate.isCarrier
    ? "it carries the stream already"
    : `it is ${index === 0 ? "first" : "next"} by rendezvous hash`;
  const { maxViewers } = candidate.record;
  const load = `${candidate.load}${maxViewers > 0 ? ` of ${maxViewers}` : ""} ${candidate.load === 1 && maxViewers === 0 ? "viewer" : "viewers"}`;
  const spill =
    skipped === 0
      ? ""
      : `; ${skipped} ahead of it ${skipped === 1 ? "was" : "were"} passed over for load or a late report`;
  const over = candidate.room > 0 ? "" : "; all are above the mean load, it has the most room";
  return `${nearnessWords[candidate.near]}${base}, ${load}${candidate.isLate ? ", late to report" : ""}${candidate.isBusy ? ", busy" : ""}${spill}${over}`;
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
