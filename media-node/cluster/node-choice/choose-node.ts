import type { ClusterStreamName, NodeRecord } from "../store/contract.ts";
import type { ViewerProtocol } from "../ticket/ticket.ts";
import { carriersOf } from "./carriers.ts";
import { recordKey, type ClusterView, type NodeView } from "./cluster-view.ts";
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
  /** Those of them who asked for this stream. */
  readonly assignedToStream?: ReadonlyMap<string, number> | undefined;
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
      /** Why this one, as a sentence; put into words when it is read. */
      readonly reason: string;
      /** Who would have been next, best first; at most three. Likewise. */
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
/**
 * The viewers of one stream that a router sent on within the last seconds it spreads evenly beyond this many a node, whatever
 * the reports leave room for: every other router sees the same room, and a hundred of them would fill it a hundred times
 * before the next report.
 */
const burstViewers = 4;
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

/** One node as this request weighs it. */
interface Candidate {
  readonly node: NodeView;
  readonly near: number;
  readonly isCarrier: boolean;
  readonly load: number;
  readonly capacity: number;
  readonly isBusy: boolean;
  readonly room: Room;
  /** Its place, the better the higher. */
  readonly grade: number;
  /** Its place among those of its grade, by rendezvous hash. */
  readonly score: number;
}

/**
 * All nodes as this request weighs them. Plain numbers by place in `nodes`: a thousand objects a decision are garbage, and typed
 * arrays of more than 64 bytes lie outside the engine's heap, where each is collected at the price of hundreds of numbers.
 */
interface Field {
  readonly nodes: readonly NodeView[];
  readonly keyHash: number;
  readonly carriers: ReadonlySet<NodeView>;
  /** Viewers, those included that reports cannot count yet; -1 for who does not come into question. */
  readonly loads: number[];
  /** Those that asked for this stream a moment ago; as they were then, whatever is counted before somebody asks for reasons. */
  readonly recents: number[];
  readonly nears: number[];
  /** Of all nodes equally near: viewers and room for them. */
  readonly loadByNear: number[];
  readonly recentByNear: number[];
  readonly capacityByNear: number[];
  readonly silent: NodeView[];
  readonly excluded: Considered[];
}

/**
 * Chooses the node for a viewer: the nearest region first; in it the nodes that carry the stream already, then rendezvous
 * hashing, passing over nodes above {@link mostFactor} × the mean load. Pure: the same arguments give the same choice, in
 * the router, in `explain`, in the simulator.
 */
export function chooseNode(view: ClusterView, request: NodeRequest): NodeChoice {
  const field = weigh(view, request);
  const { excluded } = field;
  const [best, ...others] = rank(field);
  if (!best) {
    const last = lastResort(field);
    if (last) return { node: last.record, reason: lastResortReason, runnersUp: [], excluded };
    return { node: undefined, reason: noNodeReason(view, excluded, request), excluded };
  }
  return {
    node: best.node.record,
    // One viewer in a hundred is logged, and the words for it cost as much as the choice.
    get reason() {
      return describe(best, 0, passedOver(field, best));
    },
    get runnersUp() {
      return others.map((candidate, index) => {
        const { record } = candidate.node;
        return { node: record.id, reason: describe(candidate, index + 1, 0), record };
      });
    },
    excluded,
  };
}

function weigh(view: ClusterView, request: NodeRequest): Field {
  const { nodes } = view;
  const key = recordKey(request.name);
  const near = nearnessTo(request);
  const field: Field = {
    nodes,
    keyHash: hashText(key),
    carriers: carriersOf(nodes, key),
    loads: nodes.map(() => -1),
    recents: nodes.map(() => 0),
    nears: nodes.map(() => 0),
    loadByNear: [1, 1, 1, 1],
    recentByNear: [1, 1, 1, 1],
    capacityByNear: [0, 0, 0, 0],
    silent: [],
    excluded: view.refused.map(({ id, reason }) => ({ node: id, reason })),
  };
  nodes.forEach((node, at) => {
    const { record } = node;
    const reason = whyNot(node, request) ?? (node.isSilent ? undefined : fullness(record));
    if (reason) {
      field.excluded.push({ node: record.id, reason });
    } else if (node.isSilent) {
      field.silent.push(node);
    } else {
      const load = record.viewers + (request.assigned?.get(record.id) ?? 0);
      const nearAt = near(node.region);
      field.loads[at] = load;
      const recent = request.assignedToStream?.get(record.id) ?? 0;
      field.recents[at] = recent;
      field.recentByNear[nearAt]! += recent;
      field.nears[at] = nearAt;
      field.loadByNear[nearAt]! += load;
      field.capacityByNear[nearAt]! += capacityOf(record);
    }
  });
  return field;
}

/** Nodes share regions: each region is weighed once a request. */
function nearnessTo(request: NodeRequest): (region: NodeView["region"]) => number {
  const place = placeWords(request.place);
  const weighed = new Map<NodeView["region"], number>();
  return (region) => {
    let near = weighed.get(region);
    if (near === undefined) weighed.set(region, (near = nearness(region, place)));
    return near;
  };
}

function whyNot({ record, delivers }: NodeView, request: NodeRequest): string | undefined {
  if (record.state !== "serving") return `it is ${record.state}`;
  if (!delivers[request.protocol]) return `it does not deliver ${request.protocol}`;
  return request.avoid?.has(record.id) ? "it failed a moment ago" : undefined;
}

/** By its own report only: what was assigned may never arrive, and whoever repeats a request must not fill a node. */
function fullness({ viewers, maxViewers }: NodeRecord): string | undefined {
  return maxViewers > 0 && viewers >= maxViewers ? `it is full: ${viewers} of ${maxViewers} viewers` : undefined;
}

/** The best four, best first. One pass and a short list: sorting a thousand nodes for the first four is what would cost. */
function rank(field: Field): Candidate[] {
  const top: Candidate[] = [];
  let least = 0;
  for (let index = 0; index < field.nodes.length; index++) {
    if (field.loads[index]! < 0 || highestGrade(field, index) < least) continue;
    const candidate = candidateAt(field, index);
    let at = top.length;
    while (at > 0 && isBetter(candidate, top[at - 1]!)) at--;
    if (at === 4) continue;
    top.splice(at, 0, candidate);
    if (top.length > 4) top.pop();
    if (top.length === 4) least = top[3]!.grade;
  }
  return top;
}

/** Not late before not busy before near; what follows, {@link preference}, adds 4 at most. */
function firstGrade(field: Field, index: number): number {
  const node = field.nodes[index]!;
  return (node.isLate ? 0 : 64) + (isBusy(node.record, field.loads[index]!) ? 0 : 32) + field.nears[index]! * 8;
}

/** What {@link candidateAt} can grade it at best: most nodes need no closer look. */
function highestGrade(field: Field, index: number): number {
  return firstGrade(field, index) + (field.carriers.size > 0 && field.carriers.has(field.nodes[index]!) ? 4 : 2);
}

/** The mean that counts for a node's load is that of the nodes equally near. */
function candidateAt(field: Field, index: number): Candidate {
  const node = field.nodes[index]!;
  const load = field.loads[index]!;
  const near = field.nears[index]!;
  const capacity = capacityOf(node.record);
  const share = capacity / field.capacityByNear[near]!;
  const idle = Math.max(idleViewers, idleShare * capacity);
  const byLoad = roomFor(load + 1, field.loadByNear[near]! * share, idle);
  const recent = 1 + field.recents[index]!;
  const byBurst = roomFor(recent, field.recentByNear[near]! * share, burstViewers);
  const room = byLoad < byBurst ? byLoad : byBurst;
  const isCarrier = field.carriers.has(node);
  return {
    node,
    near,
    isCarrier,
    load,
    capacity,
    isBusy: isBusy(node.record, load),
    room,
    grade: firstGrade(field, index) + preference(room, isCarrier),
    score: rendezvousScore(field.keyHash, node.hash, capacity),
  };
}

function isBusy(record: NodeRecord, load: number): boolean {
  return (record.maxViewers > 0 && load >= busyShare * record.maxViewers) || record.cpu >= busyShare;
}

function roomFor(load: number, fairShare: number, idle: number): Room {
  if (load <= Math.max(Math.ceil(evenFactor * fairShare), idle)) return 2;
  return load <= Math.ceil(mostFactor * fairShare) ? 1 : 0;
}

/** A carrier with any room spares a pull; one above the most is no better than any other. */
function preference(room: Room, isCarrier: boolean): number {
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
  return a.node.record.id < b.node.record.id;
}

/** How many nodes stand before the chosen one by carrying and hash, and were passed over because of their load. */
function passedOver(field: Field, chosen: Candidate): number {
  let count = 0;
  for (let index = 0; index < field.nodes.length; index++) {
    if (field.loads[index]! < 0 || field.nears[index] !== chosen.near) continue;
    const other = candidateAt(field, index);
    const isAhead = other.isCarrier === chosen.isCarrier ? other.score > chosen.score : other.isCarrier;
    if (isAhead && (other.node.isLate || other.isBusy || other.room < chosen.room)) count++;
  }
  return count;
}

const nearnessWords = ["", "on the viewer's continent, ", "in the viewer's country, ", "at the viewer's data centre, "];

function describe(candidate: Candidate, index: number, skipped: number): string {
  const base = candidate.isCarrier
    ? "it carries the stream already"
    : `it is ${index === 0 ? "first" : "next"} by rendezvous hash`;
  const { node, load: viewers } = candidate;
  const { maxViewers } = node.record;
  const load = `${viewers}${maxViewers > 0 ? ` of ${maxViewers}` : ""} ${viewers === 1 && maxViewers === 0 ? "viewer" : "viewers"}`;
  const spill =
    skipped === 0
      ? ""
      : `; ${skipped} ahead of it ${skipped === 1 ? "was" : "were"} passed over for load or a late report`;
  const over = candidate.room > 0 ? "" : "; all are above the mean load, it has the most room";
  return `${nearnessWords[candidate.near]}${base}, ${load}${node.isLate ? ", late to report" : ""}${candidate.isBusy ? ", busy" : ""}${spill}${over}`;
}

/**
 * Fewer than half of the nodes report: then the reports are the likelier fault, and rather than refuse viewers those that
 * fell silent are used, the one with the most room first.
 */
function lastResort(field: Field): NodeView | undefined {
  const { nodes, silent, carriers, keyHash } = field;
  const reporting = nodes.filter((node) => !node.isSilent).length;
  if (reporting * 2 >= nodes.length) return undefined;
  const loadOf = ({ record }: NodeView) => record.viewers / capacityOf(record);
  const scoreOf = ({ record, hash }: NodeView) => rendezvousScore(keyHash, hash, capacityOf(record));
  return silent.toSorted(
    (a, b) => Number(carriers.has(b)) - Number(carriers.has(a)) || loadOf(a) - loadOf(b) || scoreOf(b) - scoreOf(a),
  )[0];
}

const lastResortReason = "its report is missing, but so are most: the reports are not trusted to be complete";

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
