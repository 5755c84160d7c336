import { chooseNode } from "./cluster/node-choice/choose-node.ts";
import { recordKey, type ClusterView } from "./cluster/node-choice/cluster-view.ts";
import type { NodeRecord } from "./cluster/store/contract.ts";
import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import { signTicket, ticketQueryKey, type ViewerProtocol } from "./cluster/ticket/ticket.ts";
import type { ListedStream, StreamHub } from "./core/stream-hub.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import type { Clock } from "./time/clock.ts";
import { isViewerProtocol, routedAs } from "./viewer-protocols.ts";
import { warmPath } from "./warm-door.ts";

export interface WarmPeersOptions {
  readonly nodeId: string;
  /** Without one nobody is asked: peers could not tell us from a stranger. */
  readonly key: SigningKey | undefined;
  readonly hub: Pick<StreamHub, "list">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** @returns the status of the answer; rejects when there is none */
  readonly post?: (url: string, signal: AbortSignal) => Promise<number>;
}

/** Streams that peers are asked for, those with most viewers first; viewers of others find them as cold as new ones do. */
const maxStreams = 200;
/** Questions under way at the same time. */
const maxAsking = 16;
/** A stream with so many viewers more gets one more peer. */
const viewersPerPeer = 25;
const leastPeers = 2;
const mostPeers = 4;

/**
 * Has peers pull and cut what our viewers watch before they are sent there, so that a player finds there what it had here:
 * whole segments under the names it knows, and a key frame.
 */
export class WarmPeers {
  readonly #options: WarmPeersOptions;
  readonly #pending = new Set<string>();
  /** By stream: nodes of the cluster that did not say they have it at hand, while some did. */
  readonly #cold = new Map<string, ReadonlySet<string>>();
  #deadlineMs = Number.NEGATIVE_INFINITY;

  constructor(options: WarmPeersOptions) {
    this.#options = options;
  }

  /** Whether it is worth waiting a little before viewers of this stream are sent on. */
  isPending(key: string): boolean {
    return this.#pending.has(key) && this.#options.clock.nowMs() < this.#deadlineMs;
  }

  /** Nodes to pass over for viewers of this stream, because others have it at hand; undefined when none said so. */
  coldFor(key: string): ReadonlySet<string> | undefined {
    return this.#cold.get(key);
  }

  /**
   * Asks the nodes that viewers would be sent to. Never rejects.
   * @param viewOf the cluster as a virtual host's store knows it
   * @param withinMs nobody waits longer for a peer
   * @returns resolves when all have answered or the time is up
   */
  async warm(viewOf: (vhost: string) => ClusterView | undefined, withinMs: number): Promise<void> {
    const { key, hub, clock } = this.#options;
    if (key === undefined) return;
    this.#deadlineMs = clock.nowMs() + withinMs;
    const watched = hub
      .list()
      .map((listed) => ({ listed, viewers: viewersOf(listed) }))
      .filter(({ viewers }) => viewers.count > 0)
      .toSorted((a, b) => b.viewers.count - a.viewers.count)
      .slice(0, maxStreams);
    for (const { listed } of watched) this.#pending.add(recordKey(listed.stream.name));
    const abort = new AbortController();
    const timer = clock.after(withinMs, () => abort.abort());
    const queue = watched.values();
    const ask = async (): Promise<void> => {
      for (const { listed, viewers } of queue)
        await this.#warmOne(listed, viewers, viewOf(listed.stream.name.vhost), key, abort.signal);
    };
    await Promise.all(Array.from({ length: Math.min(maxAsking, watched.length) }, ask));
    timer.cancel();
  }

  async #warmOne(
    { stream: { name } }: ListedStream,
    { count, protocol }: WatchedBy,
    view: ClusterView | undefined,
    key: SigningKey,
    signal: AbortSignal,
  ): Promise<void> {
    const { nodeId, logger } = this.#options;
    const keyOfStream = recordKey(name);
    const peers = view && !signal.aborted ? peersFor(view, nodeId, name, protocol, count) : [];
    const isWarm = await Promise.all(peers.map((peer) => this.#ask(peer, name, key, signal)));
    const warm = new Set(peers.filter((_, index) => isWarm[index]).map(({ id }) => id));
    if (view && warm.size > 0) {
      const others = view.nodes.map(({ record }) => record.id).filter((id) => !warm.has(id));
      this.#cold.set(keyOfStream, new Set([...others, nodeId]));
    }
    this.#pending.delete(keyOfStream);
    logger.info("peers have the stream at hand", { stream: keyOfStream, viewers: count, peers: [...warm].join(" ") });
  }

  async #ask(
    { id, url }: NodeRecord,
    name: { readonly vhost: string; readonly app: string; readonly stream: string },
    key: SigningKey,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock, logger, post = postOverHttp } = this.#options;
    try {
      const { vhost, app, stream } = name;
      const ticket = await signTicket(key, { node: id, name, protocol: "warm" }, clock.wallMs());
      const query = new URLSearchParams({ vhost, app, stream, [ticketQueryKey]: ticket });
      return (await post(`${url}${warmPath}?${query.toString()}`, signal)) === 200;
    } catch (thrown) {
      logger.info("a peer did not answer", { peer: id, error: messageOf(thrown) });
      return false;
    }
  }
}

interface WatchedBy {
  readonly count: number;
  /** What most of them play by. */
  readonly protocol: ViewerProtocol;
}

function viewersOf({ viewers }: ListedStream): WatchedBy {
  const counts = Object.entries(viewers).flatMap(([protocol, count]) =>
    isViewerProtocol(protocol) ? [{ protocol: routedAs(protocol), count }] : [],
  );
  const [most] = counts.toSorted((a, b) => b.count - a.count);
  return { count: counts.reduce((sum, { count }) => sum + count, 0), protocol: most?.protocol ?? "llhls" };
}

/** As the router and we will choose for them: the first and who comes next. */
function peersFor(
  view: ClusterView,
  nodeId: string,
  name: { readonly vhost: string; readonly app: string; readonly stream: string },
  protocol: ViewerProtocol,
  viewers: number,
): readonly NodeRecord[] {
  const choice = chooseNode(view, { name, protocol, avoid: new Set([nodeId]) });
  if (!choice.node) return [];
  const peers = Math.min(mostPeers, Math.max(leastPeers, Math.ceil(viewers / viewersPerPeer)));
  return [choice.node, ...choice.runnersUp.map(({ record }) => record)].slice(0, peers);
}

async function postOverHttp(url: string, signal: AbortSignal): Promise<number> {
  const answer = await fetch(url, { method: "POST", redirect: "error", signal });
  await answer.body?.cancel();
  return answer.status;
}
