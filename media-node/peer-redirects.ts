import type { IncomingMessage, ServerResponse } from "node:http";
import { chooseNode } from "./cluster/node-choice/choose-node.ts";
import { ClusterViewReader, recordKey, type ClusterView } from "./cluster/node-choice/cluster-view.ts";
import { hashText } from "./cluster/node-choice/rendezvous.ts";
import { RecentAssignments } from "./cluster/node-choice/recent-assignments.ts";
import { StoreUnavailable, type ClusterReader, type NodeRecord } from "./cluster/store/contract.ts";
import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import { signTicket, ticketQueryKey, verifyTicket, type ViewerProtocol } from "./cluster/ticket/ticket.ts";
import { traceQueryKey } from "./cluster/trace/trace-id.ts";
import type { HttpGuest, PlainExchange, ViewerTarget } from "./core/guest.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import { every, type Clock, type Timer } from "./time/clock.ts";
import type { WarmPeers } from "./warm-peers.ts";

export interface PeerRedirectsOptions {
  readonly nodeId: string;
  readonly key: SigningKey | undefined;
  /** The store of a virtual host; undefined when it has none. */
  readonly storeOf: (vhost: string) => ClusterReader | undefined;
  /** Gets peers ready for our viewers. */
  readonly warm: Pick<WarmPeers, "warm" | "isPending" | "coldFor">;
  /** A viewer's request was answered with another node's address. */
  readonly onSentOn: (target: ViewerTarget) => void;
  /** Asked once: in this time viewers are sent on one after the other, not all with the next part. Default: at once. */
  readonly spreadMs?: () => number;
  /** Those that there are now. */
  readonly vhosts: () => readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** As fresh as the router's own memory. */
const readEveryMs = 1_000;
/**
 * Nobody is sent on before every other node that goes has heard of this one, and this one of them: two that began at the
 * same moment would send viewers to each other.
 */
const settleMs = 2_500;
/** A peer that is not ready by then gets viewers as it is. */
const warmWithinMs = 6_000;
/**
 * Players that keep to the address they were given ask there again, however often they are sent on: after the next part, or
 * once a target duration where they play whole segments. Who did not come back within this time plays from elsewhere.
 */
const backWithinMs = { blocking: 2_500, plain: 5_000 };
/** Sessions remembered that were sent on. */
const maxSentOn = 100_000;
/** Longer ones are none of ours. */
const maxSessionLength = 128;
/** No viewer can ask for it: `/-/` is nobody's stream. */
const noStream = { stream: "-", app: "-" };

/**
 * A node that goes sends viewers on by itself: playlists and WHEP offers are answered with the address of a node that serves,
 * chosen as the router chooses. Media that was listed already is still served here, so nothing stalls.
 */
export class PeerRedirects implements HttpGuest {
  readonly #options: PeerRedirectsOptions;
  readonly #views = new Map<string, ClusterView>();
  readonly #readers = new Map<string, ClusterViewReader>();
  readonly #assigned = new RecentAssignments();
  /** Until when each session may come back. */
  readonly #sentOn = new Map<string, number>();
  #timer: Timer | undefined;
  #warming: Promise<void> | undefined;
  #startedMs = Number.POSITIVE_INFINITY;
  #spreadMs = 0;

  constructor(options: PeerRedirectsOptions) {
    this.#options = options;
  }

  /** Viewers who were sent on, and may come back: they keep to the address they have. */
  get returning(): number {
    const nowMs = this.#options.clock.nowMs();
    for (const [session, untilMs] of this.#sentOn) if (untilMs <= nowMs) this.#sentOn.delete(session);
    return this.#sentOn.size;
  }

  /** Resolves when peers are ready for our viewers, or have had their time. */
  get warmed(): Promise<void> {
    return this.#warming ?? Promise.resolve();
  }

  /** Begins to look for peers; requests are answered as soon as the others had time to hear of it, and one is known. */
  start(): void {
    if (this.#timer) return;
    this.#startedMs = this.#options.clock.nowMs();
    this.#spreadMs = this.#options.spreadMs?.() ?? 0;
    this.#warming = this.#read().then(() => this.#options.warm.warm((vhost) => this.#views.get(vhost), warmWithinMs));
    this.#timer = every(this.#options.clock, readEveryMs, () => void this.#read());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#views.clear();
  }

  serve(exchange: PlainExchange, target: ViewerTarget): boolean {
    const isRead = exchange.method === "GET" || exchange.method === "HEAD";
    if (!isRead || !target.file.endsWith(".m3u8")) return false;
    return this.#sendOn(target, "llhls", (location) => {
      if (!exchange.isOver) exchange.send(302, ["Location", location, ...redirectHeaders]);
    });
  }

  handle(request: IncomingMessage, response: ServerResponse, target: ViewerTarget): boolean {
    const isWhep = target.file === "whep" || target.query.get("direction")?.toLowerCase() === "whep";
    if (request.method !== "POST" || !isWhep) return false;
    return this.#sendOn(target, "whep", (location) => {
      for (let at = 0; at < redirectHeaders.length; at += 2)
        response.setHeader(redirectHeaders[at]!, redirectHeaders[at + 1]!);
      response.writeHead(307, { Location: location }).end();
    });
  }

  #sendOn(target: ViewerTarget, protocol: ViewerProtocol, answer: (location: string) => void): boolean {
    const settledMs = this.#options.clock.nowMs() - this.#startedMs - settleMs;
    // Every request comes by here, and few while a node drains.
    const isTheirTurn = settledMs >= 0 && settledMs >= turnOf(target) * this.#spreadMs;
    const canMove = isTheirTurn && this.#views.size > 0 && !this.#options.warm.isPending(recordKey(target));
    const peer = canMove ? this.#peerFor(target, protocol) : undefined;
    if (!peer || !this.#isMovable(target, protocol)) return false;
    this.#locationAt(peer, target, protocol).then(answer, (thrown: unknown) =>
      this.#options.logger.error("viewer not sent on", { error: messageOf(thrown) }),
    );
    this.#remember(target);
    this.#options.onSentOn(target);
    return true;
  }

  #remember({ query }: ViewerTarget): void {
    const session = query.get("session");
    // Who comes for the first time is given the other node's addresses.
    if (session === null || session === "" || session.length > maxSessionLength) return;
    if (this.#sentOn.size >= maxSentOn && !this.#sentOn.has(session)) return;
    const backMs = query.has("_HLS_msn") ? backWithinMs.blocking : backWithinMs.plain;
    this.#sentOn.set(session, this.#options.clock.nowMs() + backMs);
  }

  /** Who shows nothing that proves anything is refused by the guest, not sent on. */
  #isMovable({ query }: ViewerTarget, protocol: ViewerProtocol): boolean {
    if (this.#options.key === undefined) return true;
    return query.has(ticketQueryKey) || (protocol === "llhls" && query.has("session"));
  }

  #peerFor({ vhost, app, stream }: ViewerTarget, protocol: ViewerProtocol): NodeRecord | undefined {
    const view = this.#views.get(vhost);
    const { nodeId, clock } = this.#options;
    if (!view) return undefined;
    const key = recordKey({ vhost, app, stream });
    const request = { name: { vhost, app, stream }, protocol, ...this.#assigned.about(key, clock.wallMs()) };
    const cold = this.#options.warm.coldFor(key);
    const warm = cold && chooseNode(view, { ...request, avoid: cold }).node;
    return warm ?? chooseNode(view, { ...request, avoid: new Set([nodeId]) }).node;
  }

  async #locationAt(peer: NodeRecord, target: ViewerTarget, protocol: ViewerProtocol): Promise<string> {
    const { clock, key, nodeId } = this.#options;
    const { vhost, app, stream, file } = target;
    const name = { vhost, app, stream };
    const old = target.query.get(ticketQueryKey);
    const pairs = target.rawQuery.split("&").filter((pair) => pair !== "" && !pair.startsWith(`${ticketQueryKey}=`));
    if (key && old) {
      // What the old ticket proved the new one proves; one that proves nothing is handed on as it is and refused there.
      const verdict = await verifyTicket(key, old, { node: nodeId, name, protocol }, clock.wallMs());
      const ticket = verdict.admitted
        ? await signTicket(key, { node: peer.id, name, protocol }, clock.wallMs(), verdict.sessionEndsMs)
        : old;
      pairs.push(`${ticketQueryKey}=${ticket}`);
    }
    if (old !== null) this.#assigned.add(peer.id, recordKey(name), clock.wallMs());
    // Media playlists may come through a cache: their URLs are the same for everybody.
    const isFirst = protocol === "whep" || !target.query.has("session");
    if (isFirst && target.trace !== undefined) pairs.push(`${traceQueryKey}=${target.trace}`);
    const path = `/${app}/${stream}${file === "" ? "" : `/${file}`}`;
    return `${peer.url}${path}${pairs.length > 0 ? `?${pairs.join("&")}` : ""}`;
  }

  async #read(): Promise<void> {
    const { key, storeOf, vhosts, logger } = this.#options;
    for (const vhost of vhosts()) {
      const store = storeOf(vhost);
      if (!store) continue;
      const reader = this.#readers.get(vhost) ?? new ClusterViewReader(key);
      this.#readers.set(vhost, reader);
      try {
        const view = await reader.read(await store.snapshot({ vhost, ...noStream }));
        if (this.#timer) this.#views.set(vhost, view);
      } catch (thrown) {
        if (!(thrown instanceof StoreUnavailable)) logger.error("peers not read", { error: messageOf(thrown) });
      }
    }
  }
}

/** When a viewer's turn is, from 0 to 1; who comes for the first time has not to wait. */
function turnOf({ query }: ViewerTarget): number {
  const session = query.get("session");
  return session === null ? 0 : (hashText(session) >>> 0) / 2 ** 32;
}

/** For readers in other origins, and no cache: the next request may have to go elsewhere. */
const redirectHeaders: readonly string[] = [
  "Access-Control-Allow-Origin",
  "*",
  "Access-Control-Expose-Headers",
  "Location",
  "Cache-Control",
  "no-store",
  "Content-Length",
  "0",
];
