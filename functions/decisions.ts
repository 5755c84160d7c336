import { chooseNode, type NodeChoice } from "#cluster/node-choice/choose-node.ts";
import { recordKey } from "#cluster/node-choice/cluster-view.ts";
import type { ViewerPlace } from "#cluster/node-choice/nearness.ts";
import { RecentAssignments } from "#cluster/node-choice/recent-assignments.ts";
import type { NodeRecord } from "#cluster/store/contract.ts";
import type { ViewerProtocol } from "#cluster/ticket/ticket.ts";
import type { AskedUrl } from "./asked-url.ts";
import type { Problem } from "./http-errors.ts";
import type { RequestedStream } from "./requested-stream.ts";
import { isCarried, type ClusterMemory, type Moment, type Sight } from "./stores/cluster-memory.ts";
import type { Vhosts } from "./vhosts.ts";

/** Which node, or which problem; with all that led to it, for `explain`. */
export interface Decision {
  readonly outcome: { readonly node: NodeRecord } | Problem;
  /** How the stream is known to exist, or not, as a sentence. */
  readonly existence: string;
  readonly choice: NodeChoice | undefined;
  readonly sight: Sight | undefined;
}

export interface Viewer {
  /** As the viewer asked. */
  readonly url: AskedUrl;
  readonly stream: RequestedStream;
  readonly protocol: ViewerProtocol;
  readonly place?: ViewerPlace | undefined;
  /** Nodes that the viewer says failed it. */
  readonly avoid?: readonly string[] | undefined;
}

/** A node that refused or failed a connection is left out this long. */
const failedMs = 10_000;

/** Decides where viewers go, and remembers for some seconds what it decided. */
export class Decisions {
  readonly #memory: ClusterMemory;
  readonly #vhosts: Vhosts;
  readonly #assigned = new RecentAssignments();
  readonly #failed = new Map<string, number>();

  constructor(memory: ClusterMemory, vhosts: Vhosts) {
    this.#memory = memory;
    this.#vhosts = vhosts;
  }

  /** Decides without counting the viewer: for `explain`. */
  async consider(viewer: Viewer, moment: Moment): Promise<Decision> {
    const { name } = viewer.stream;
    const rule = this.#vhosts.ruleFor(name);
    const sight = await this.#memory.see(name, rule !== undefined, moment);
    const existence = existenceOf(viewer.stream, rule, sight);
    if (!existence.isKnown || !sight)
      return {
        outcome: unknownProblem(existence.sentence, sight),
        existence: existence.sentence,
        choice: undefined,
        sight,
      };
    const choice = chooseNode(sight.view, {
      name,
      protocol: viewer.protocol,
      place: viewer.place,
      avoid: this.#avoided(viewer.avoid, moment.nowMs),
      ...this.#assigned.about(recordKey(name), moment.nowMs),
    });
    const outcome = choice.node
      ? { node: choice.node }
      : ({ status: 503, code: "no-node", sentence: `Sorry: ${choice.reason}.`, retryAfterS: 2 } as const);
    return { outcome, existence: existence.sentence, choice, sight };
  }

  /** Decides and counts the viewer for the node. */
  async decide(viewer: Viewer, moment: Moment): Promise<Decision> {
    const decision = await this.consider(viewer, moment);
    const { outcome } = decision;
    if ("node" in outcome) this.#assigned.add(outcome.node.id, recordKey(viewer.stream.name), moment.nowMs);
    return decision;
  }

  /** Leaves a node out for 10 s because it did not answer. */
  reportFailure(node: string, nowMs: number): void {
    this.#failed.set(node, nowMs);
  }

  /** The whole cluster, for its map. */
  see(moment: Moment): Promise<Sight | undefined> {
    return this.#memory.seeNodes(moment);
  }

  /** Nodes that failed the router or this viewer; mostly there is none. */
  #avoided(byViewer: readonly string[] | undefined, nowMs: number): ReadonlySet<string> | undefined {
    for (const [node, sinceMs] of this.#failed) if (nowMs - sinceMs > failedMs) this.#failed.delete(node);
    return this.#failed.size > 0 || byViewer ? new Set([...this.#failed.keys(), ...(byViewer ?? [])]) : undefined;
  }
}

function existenceOf(
  { name }: RequestedStream,
  rule: string | undefined,
  sight: Sight | undefined,
): { isKnown: boolean; sentence: string } {
  if (rule !== undefined) return { isKnown: true, sentence: `${rule} can pull it` };
  const known = (sentence: string) => ({ isKnown: true, sentence });
  if (sight?.known?.isThere) return known(heldBy(sight.known.urls.length));
  if (sight && isCarried(sight.view, recordKey(name))) return known("a node carries it");
  const what = `Stream ${name.app}/${name.stream} of virtual host ${name.vhost}`;
  const sentence = sight?.known
    ? `${what} is not there: no rule matches it, no node carries it, no origin holds a lease on it.`
    : `Whether ${what.replace("Stream", "stream")} exists cannot be told: the store does not answer.`;
  return { isKnown: false, sentence };
}

function heldBy(origins: number): string {
  return origins > 0 ? `${origins} origin(s) hold a lease on it in the store` : "the store knew it a moment ago";
}

/** While the store is silent nobody is told that a stream does not exist: players take a 404 for final. */
function unknownProblem(sentence: string, sight: Sight | undefined): Problem {
  if (sight?.known) return { status: 404, code: "unknown-stream", sentence };
  return { status: 503, code: "store-silent", sentence, retryAfterS: 2 };
}
