/**
 * The OriginMapStore: what nodes and router agree on, whoever keeps it. Every adapter (redis on the nodes, Upstash REST
 * in the Worker, the embedded one of the laptop) passes the same contract suite, `test/contract/`.
 */

/** A stream as the whole cluster names it. */
export interface ClusterStreamName {
  readonly vhost: string;
  readonly app: string;
  readonly stream: string;
}

/** An origin's claim on a stream. */
export interface StreamClaim extends ClusterStreamName {
  /** Where edges pull it: `ovt://host:port/app/stream` (an OvenMediaEngine peer may have written `rtsp://…`). */
  readonly url: string;
  /** Identity of the owning process: differs after every restart. */
  readonly owner: string;
}

/** What became of a claim. A standby keeps claiming and takes over when the owner's lease runs out. */
export type ClaimResult =
  /** `epoch` grows with every change of owner, so that a late write of an earlier owner is recognised and refused. */
  { readonly kind: "owner"; readonly epoch: number } | { readonly kind: "standby"; readonly ownerUrl: string };

/** A node as it describes itself; published every 2 s, valid for 6 s by the store's clock. */
export interface NodeRecord {
  /** Chosen by the operator or made at first start; unique in the cluster. */
  readonly id: string;
  /** Public base URL without trailing slash: `http://host:port` or `https://…`; viewers are redirected here. */
  readonly url: string;
  readonly state: "starting" | "serving" | "draining";
  /** What it delivers; empty for a node that is only an origin. */
  readonly protocols: readonly ("webrtc" | "whep" | "llhls")[];
  readonly region: string;
  /** Viewers now, and the number above which no more should be sent here; 0: no limit. */
  readonly viewers: number;
  readonly maxViewers: number;
  /** Bits per second sent to viewers. */
  readonly egressBps: number;
  /** 0…1 of one core, highest of its threads. */
  readonly cpu: number;
  /** Streams it carries now: `vhost/app/stream` → viewers. */
  readonly streams: Readonly<Record<string, number>>;
  /**
   * Viewers in the whole cluster of streams watched here, each counted once: `vhost/app/stream` → viewers. Nodes that do not
   * know leave a stream, or all of it, out.
   */
  readonly audiences?: Readonly<Record<string, number>>;
  /** Streams it publishes as origin: `vhost/app/stream`. */
  readonly origins: readonly string[];
  /** Unix ms at which the process started. */
  readonly startedMs: number;
}

/** What a decision needs, read in one round trip. */
export interface ClusterSnapshot {
  /** Unix ms by the store's clock at the time of reading. */
  readonly nowMs: number;
  /** Signed node records (see `node-record.ts`) whose lease has not run out; unverified, so untrusted. */
  readonly nodes: readonly string[];
  /** Where the asked stream can be pulled, best first; untrusted. Empty when no origin claims it. */
  readonly origins: readonly string[];
}

/** What the router may do: read. */
export interface ClusterReader {
  /** @throws StoreUnavailable when the store did not answer within the adapter's deadline */
  snapshot(name: ClusterStreamName): Promise<ClusterSnapshot>;
  /**
   * Where a stream can be pulled, best first: our leases, then OvenMediaEngine's plain key. A small part of what a snapshot
   * says, for whoever has seen the nodes a moment ago.
   * @throws StoreUnavailable as above
   */
  lookup(name: ClusterStreamName): Promise<readonly string[]>;
}

/** What a node may do. Every method has a deadline and throws StoreUnavailable past it. */
export interface ClusterStore extends ClusterReader {
  /** Claims a stream or renews the claim (lease 10 s, OvenMediaEngine's plain key included). Call every 2.5 s. */
  claim(claim: StreamClaim): Promise<ClaimResult>;
  /** Gives a claim up; does nothing when `owner` does not hold it. */
  release(claim: StreamClaim): Promise<void>;
  /**
   * Publishes a signed node record for 6 s.
   * @returns Unix ms by the store's clock: what the next record is to be signed with
   */
  putNode(id: string, signedRecord: string): Promise<number>;
  /** Forgets the node at once: it is gone on purpose. */
  dropNode(id: string): Promise<void>;
  close(): Promise<void>;
}

/** What a node's sources need of a store besides. */
export interface EpochStore {
  /**
   * The Unix time at which a source's own timestamps are 0, for one that does not say: what the first node measured
   * holds for all others, by the store's clock, until the source begins anew.
   * @param source its identity, where it keeps that over restarts
   * @param mediaMs its timestamp of this moment, in milliseconds
   * @param heldMs what this node goes by already: stands where the store has forgotten
   */
  agreeEpoch(name: ClusterStreamName, source: string, mediaMs: number, heldMs?: number): Promise<number>;
}

/** What a node knows of how a source has gone on since it began. */
export interface CourseSeen {
  /** What its decoders need, as a word of at most 64 letters and digits: a source that shows another shape broke off meanwhile. */
  readonly shape: string;
  /** Times the stream broke off, as far as the node knows. */
  readonly breaks: number;
  /** The node has seen every break, so another shape is none; else it has just joined. */
  readonly isFollowed: boolean;
  /** Unix ms of the first sample from which it could show anything. */
  readonly beganMs?: number | undefined;
}

/** How a source has gone on, as all nodes take it. */
export interface Course {
  readonly breaks: number;
  readonly beganMs?: number | undefined;
}

/** What all nodes agree on of a source that tells little about its past. */
export interface CourseStore {
  /**
   * Tells what a node sees of a source, and is told what all take it for: the most breaks anybody knows of, and the earliest
   * beginning. One who joined and sees another shape than the last tells of a break.
   * @param source its identity
   */
  agreeCourse(name: ClusterStreamName, source: string, seen: CourseSeen): Promise<Course>;
}

/** How many people watch, counted once in the whole cluster: a viewer's requests may go to any edge. */
export interface AudienceStore {
  /**
   * Tells who watches a stream at this node. Call every 5 s: half of what is counted at a time.
   * @param viewers an id each, the same at every node that the viewer comes to; at most 500 a call (`storeLimits`)
   * @returns how many different ones all nodes told of in the last whole ten seconds: exact to a few hundred, and to 1 % beyond
   */
  countAudience(name: ClusterStreamName, viewers: readonly string[]): Promise<number>;
}

/** All that a node needs of its store. */
export type NodeStore = ClusterStore & EpochStore & CourseStore & AudienceStore;

/** The store did not answer in time, or answered nonsense: decide from what was known. */
export class StoreUnavailable extends Error {
  override readonly name = "StoreUnavailable";
}
