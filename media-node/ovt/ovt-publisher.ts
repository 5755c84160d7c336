import type { Duplex } from "node:stream";
import type { Logger } from "../flow/logger.ts";
import type { StreamHold, StreamHub } from "../core/stream-hub.ts";
import type { Stream } from "../core/stream.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import { hearGreeting, secureAsOrigin } from "./link-tls.ts";
import { defaultOriginLimits, type OriginLimits } from "./origin-dialogue.ts";
import { OriginConnection, type OriginHost, type OriginStats } from "./origin-connection.ts";
import { PeerGuard } from "./peer-guard.ts";
import { StreamOutlet, type OutletTap } from "./stream-outlet.ts";

export interface OvtPublisherOptions {
  readonly hub: Pick<StreamHub, "acquire">;
  /** The virtual host of the host name in an edge's URL; undefined when there is none. */
  readonly resolveVhost: (host: string) => string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  /** This process, as peers' monitoring shows it: a UUID. */
  readonly serverId: string;
  /** Secrets that peers' tokens may be signed with, and TLS is spoken by; none = everybody may pull, without TLS. */
  readonly secrets?: readonly string[];
  /** Whether peers that are not trusted need a token. Default: whether there are secrets. */
  readonly requiresToken?: boolean;
  /** Whether peers that are not trusted must come by TLS. Default false. */
  readonly requiresTls?: boolean;
  /** Addresses and networks of stock OvenMediaEngine edges, which have no token. */
  readonly trustedPeers?: readonly string[];
  /**
   * How long audio may wait for the next video frame, to leave in one write with it: 5 ms with one session on a stream,
   * rising to 35 ms with thirty and 40 ms at most, because writes cost an origin more than bytes. Video never waits.
   */
  readonly audioWaitMs?: { readonly min: number; readonly max: number };
  readonly maxQueueBytes?: number;
  readonly maxQueueAgeMs?: number;
  /** A peer that takes nothing for this long is dropped. */
  readonly stallMs?: number;
  readonly maxConnections?: number;
  /** Connections of one address that have no session yet; more are refused, but not of trusted ones. Default 256. */
  readonly maxIdlePerAddress?: number;
  /** Connections of all addresses that have no session yet; for more, the oldest go. Default 1,000. */
  readonly maxIdle?: number;
  /** Sends data and subtitle samples to OvenMediaEngine edges too. */
  readonly sendsDataToOthers?: boolean;
  readonly limits?: Partial<OriginLimits>;
}

/** A peer that has not said anything yet, or is still proving itself. */
interface Guest {
  readonly remote: string;
  readonly connection: Duplex;
  readonly byMs: number;
}

const tickMs = 250;
/** Peers that are not of the cluster, or whose secret differs. */
const refusals = new Set(["OVT_UNAUTHORIZED", "OVT_TLS", "OVT_PLAIN_TEXT"]);
const refusalsEveryMs = 10_000;
/** How long a publisher that closes waits for slow edges to take what they were promised. */
const closeWithinMs = 2_000;

/**
 * The origin: answers edges on connections that are handed in, and sends each the stream it asks for. Owns the
 * connections it accepted; listening is its caller's business.
 */
export class OvtPublisher {
  readonly #options: OvtPublisherOptions;
  readonly #host: OriginHost;
  readonly #connections = new Set<OriginConnection>();
  readonly #guests = new Set<Guest>();
  /** What has no session, oldest first, with what ends it. */
  readonly #idle = new Map<Guest | OriginConnection, () => void>();
  readonly #byAddress = new Map<string, Set<OriginConnection>>();
  readonly #outlets = new Map<Stream, StreamOutlet>();
  readonly #ticker: Timer;
  readonly #stats: OriginStats = {
    connectionsOpened: 0,
    connectionsLive: 0,
    connectionsRefused: 0,
    sessionsStarted: 0,
    sessionsLive: 0,
    samplesDropped: 0,
    bytesSent: 0,
    faults: {},
  };
  #encodedBefore = 0;
  /** Peers turned away since the last line about them. */
  #refused = { count: 0, code: "", remote: "", saidMs: Number.NEGATIVE_INFINITY };
  #closing: Promise<void> | undefined;

  /** @throws {SettingError} when `trustedPeers` holds what is no address or network */
  constructor(options: OvtPublisherOptions) {
    this.#options = options;
    const { hub, clock, logger, nodeId, serverId, resolveVhost, secrets = [] } = options;
    const asked = (options.requiresToken ?? secrets.length > 0) ? secrets : undefined;
    this.#host = {
      hub,
      clock,
      logger,
      nodeId,
      serverId,
      resolveVhost,
      guard: new PeerGuard({ secrets: asked, trustedPeers: options.trustedPeers ?? [] }),
      limits: { ...defaultOriginLimits, ...options.limits },
      maxQueueBytes: options.maxQueueBytes ?? 16 * 1024 * 1024,
      maxQueueAgeMs: options.maxQueueAgeMs ?? 5_000,
      stallMs: options.stallMs ?? 10_000,
      sendsDataToOthers: options.sendsDataToOthers ?? false,
      stats: this.#stats,
      outletOf: (hold) => this.#outletOf(hold),
      onFault: (code, remote) => this.#onFault(code, remote),
      onSession: (connection) => void this.#idle.delete(connection),
      leaveOutlet: (outlet, tap) => this.#leaveOutlet(outlet, tap),
    };
    this.#ticker = every(clock, tickMs, () => this.#tick());
  }

  /** Counters since the start and gauges of now. */
  get stats(): Readonly<OriginStats> {
    return this.#stats;
  }

  /** Samples serialised since the start, however many sessions sent them. */
  get encodedCount(): number {
    let count = this.#encodedBefore;
    for (const outlet of this.#outlets.values()) count += outlet.encodedCount;
    return count;
  }

  /** Bytes that wait in memory for slow edges: shared buffers, so an upper bound. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const connection of this.#connections) bytes += connection.queuedBytes;
    return bytes;
  }

  /**
   * Serves one connection until it ends; takes ownership of it.
   * @param remote the peer's address, without port
   */
  accept(connection: Duplex, remote: string): void {
    this.#stats.connectionsOpened++;
    if (this.#closing || this.#isCrowded(remote)) {
      this.#stats.connectionsRefused++;
      connection.on("error", () => {});
      connection.destroy();
      return;
    }
    this.#stats.connectionsLive++;
    if (this.#options.secrets?.length) this.#greet(connection, remote);
    else this.#adopt(connection, remote);
  }

  /** See {@link PeerGuard.prepareTrust}. */
  prepareTrust(trustedPeers: readonly string[]): () => void {
    return this.#host.guard.prepareTrust(trustedPeers);
  }

  /** Ends every session on the border of a sample; resolves when no connection is left. */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  /** Whoever floods the port pushes out its own kind: an edge's handshake takes milliseconds. */
  #addIdle(peer: Guest | OriginConnection, end: () => void): void {
    const { maxIdle = 1_000 } = this.#options;
    for (const [oldest, endOldest] of this.#idle) {
      if (this.#idle.size < maxIdle) break;
      this.#idle.delete(oldest);
      endOldest();
    }
    this.#idle.set(peer, end);
  }

  /** Waits for the first byte of a peer, which tells TLS from plain OVT. */
  #greet(connection: Duplex, remote: string): void {
    const { secrets = [], requiresTls = false, clock } = this.#options;
    const guest: Guest = { remote, connection, byMs: clock.nowMs() + this.#host.limits.firstRequestMs };
    this.#guests.add(guest);
    this.#addIdle(guest, () => connection.destroy());
    const forget = (): void => {
      this.#idle.delete(guest);
      if (this.#guests.delete(guest)) this.#stats.connectionsLive--;
    };
    const adopt = (ready: Duplex): void => {
      connection.off("close", forget);
      this.#idle.delete(guest);
      if (this.#guests.delete(guest)) this.#adopt(ready, remote);
    };
    connection.on("error", () => connection.destroy());
    connection.once("close", forget);
    hearGreeting(connection, (isTls) => {
      if (isTls) secureAsOrigin(connection, secrets, adopt, () => this.#onFault("OVT_TLS", remote));
      else if (!requiresTls || this.#host.guard.isTrusted(remote)) adopt(connection);
      else {
        this.#onFault("OVT_PLAIN_TEXT", remote);
        connection.destroy();
      }
    });
  }

  #adopt(connection: Duplex, remote: string): void {
    const accepted = new OriginConnection(connection, remote, this.#host);
    this.#connections.add(accepted);
    this.#addIdle(accepted, () => accepted.end(0));
    this.#byAddress.set(remote, (this.#byAddress.get(remote) ?? new Set()).add(accepted));
    connection.resume();
    void this.#forgetWhenGone(accepted);
  }

  async #forgetWhenGone(connection: OriginConnection): Promise<void> {
    await connection.gone;
    this.#idle.delete(connection);
    this.#connections.delete(connection);
    const neighbours = this.#byAddress.get(connection.remote);
    neighbours?.delete(connection);
    if (neighbours?.size === 0) this.#byAddress.delete(connection.remote);
    this.#stats.connectionsLive--;
  }

  async #closeNow(): Promise<void> {
    for (const outlet of this.#outlets.values()) outlet.flush();
    for (const guest of this.#guests) guest.connection.destroy();
    const connections = [...this.#connections];
    for (const connection of connections) connection.end(closeWithinMs);
    await Promise.all(connections.map(({ gone }) => gone));
    this.#ticker.cancel();
  }

  #onFault(code: string, remote: string): void {
    const { faults } = this.#stats;
    faults[code] = (faults[code] ?? 0) + 1;
    if (refusals.has(code)) this.#refused = { ...this.#refused, count: this.#refused.count + 1, code, remote };
  }

  /** Strangers may come in thousands, and so may edges with another secret: one line for all of them now and then. */
  #sayRefused(nowMs: number): void {
    const { count, code, remote, saidMs } = this.#refused;
    if (count === 0 || nowMs - saidMs < refusalsEveryMs) return;
    this.#refused = { ...this.#refused, count: 0, saidMs: nowMs };
    this.#options.logger.warn("ovt peers were turned away", { count, lastCode: code, lastRemote: remote });
  }

  #isCrowded(remote: string): boolean {
    const { maxConnections = 10_000, maxIdlePerAddress = 256 } = this.#options;
    if (this.#connections.size + this.#guests.size >= maxConnections) return true;
    if (this.#host.guard.isTrusted(remote)) return false;
    let idle = 0;
    for (const guest of this.#guests) if (guest.remote === remote) idle++;
    for (const other of this.#byAddress.get(remote) ?? []) if (!other.hasSession) idle++;
    return idle >= maxIdlePerAddress;
  }

  #tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const connection of this.#connections) connection.tick(nowMs);
    this.#sayRefused(nowMs);
    for (const { connection, byMs } of this.#guests) if (nowMs >= byMs) connection.destroy();
  }

  #outletOf({ stream }: StreamHold): StreamOutlet {
    const known = this.#outlets.get(stream);
    if (known) return known;
    const { clock, audioWaitMs = { min: 5, max: 40 } } = this.#options;
    const outlet = new StreamOutlet(stream, { clock, minWaitMs: audioWaitMs.min, maxWaitMs: audioWaitMs.max });
    this.#outlets.set(stream, outlet);
    return outlet;
  }

  #leaveOutlet(outlet: StreamOutlet, tap: OutletTap): void {
    outlet.detach(tap);
    if (outlet.tapCount > 0) return;
    outlet.close();
    this.#encodedBefore += outlet.encodedCount;
    if (this.#outlets.get(outlet.stream) === outlet) this.#outlets.delete(outlet.stream);
  }
}
