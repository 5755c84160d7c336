import type { ClusterStreamName } from "./contract.ts";

/** How long an origin's claim stands without renewal; also OvenMediaEngine's `EX 10` on its plain key. */
export const streamLeaseMs = 10_000;
/** How long a node record stands without renewal. */
export const nodeLeaseMs = 6_000;
/** Viewers are counted in spans of this length, by the store's clock. */
export const audienceMs = 10_000;

/** What the store keeps and gives at most: a writer with the password cannot grow a reader's reply past these. */
export const storeLimits = {
  /** Bytes of one origin's URL. */
  urlBytes: 2_048,
  /** Bytes of a vhost, app, stream, owner or node id. */
  nameBytes: 512,
  /** Bytes of one signed node record. */
  recordBytes: 65_536,
  /** Origins of one stream: the owner and its standbys. */
  originsPerStream: 16,
  /** Viewers told of in one call. */
  audienceIds: 500,
  /** Live nodes. */
  nodes: 4_096,
  /** Bytes of all node records in one snapshot. */
  snapshotBytes: 8_388_608,
} as const;

/**
 * Redis keys of one stream, in the order the scripts take them. All of them fall into one slot of a Redis Cluster,
 * as the hash tag is OvenMediaEngine's whole plain key (names that hold braces excepted).
 */
export interface StreamKeys {
  /** Hash: claims by URL, and the epoch. */
  readonly origins: string;
  /** OvenMediaEngine's own string key, `app/stream`: no vhost, nothing escaped. */
  readonly plain: string;
  /** String: for which vhost, and with which URL, one of our nodes wrote the plain key. */
  readonly plainMark: string;
}

/** Hash: signed node record by node id. */
export const nodeRecordsKey = "hearth/{nodes}/records";
/** Sorted set: node id by Unix ms at which its lease ends. */
export const nodeLeasesKey = "hearth/{nodes}/leases";

/** Whether a vhost, app, stream, owner or node id can be kept: not empty, not too long, proper Unicode. */
export function isStorableWord(word: string): boolean {
  if (word.length === 0 || word.length > storeLimits.nameBytes || !word.isWellFormed()) return false;
  return word.length * 3 <= storeLimits.nameBytes || new TextEncoder().encode(word).length <= storeLimits.nameBytes;
}

/** Whether {@link streamKeys} takes the name. A name that fails can have no origin. */
export function isStorableName({ vhost, app, stream }: ClusterStreamName): boolean {
  return [vhost, app, stream].every(isStorableWord) && !app.includes("/") && !stream.includes("/");
}

/**
 * The keys of a stream. OvenMediaEngine's key holds exactly one slash and ours hold three or more, so that no name
 * whatever reaches a key of another kind; blanks and `%` in app and stream stay as they are.
 * @throws {RangeError} when {@link isStorableName} says no
 */
export function streamKeys(name: ClusterStreamName): StreamKeys {
  if (!isStorableName(name)) throw new RangeError("a stream name that the store cannot keep");
  const plain = `${name.app}/${name.stream}`;
  return {
    origins: `hearth/origins/{${plain}}/${escapeVhost(name.vhost)}`,
    plain,
    plainMark: `hearth/plain/{${plain}}`,
  };
}

/**
 * String: `<epoch> <as measured last>` of a source of a stream, Unix ms.
 * @throws {RangeError} when {@link isStorableName} says no
 */
export function epochKey(name: ClusterStreamName, source: string): string {
  const { origins } = streamKeys(name);
  return `${origins.replace("hearth/origins/", "hearth/epochs/")}/${encodeURIComponent(source.toWellFormed()).slice(0, storeLimits.nameBytes)}`;
}

/**
 * String: `<breaks> <began, Unix ms or -> <shape>` of a source of a stream.
 * @throws {RangeError} when {@link isStorableName} says no
 */
export function courseKey(name: ClusterStreamName, source: string): string {
  return epochKey(name, source).replace("hearth/epochs/", "hearth/courses/");
}

/**
 * HyperLogLogs: who watched a stream in a span. Three take turns: one is written, one is read, one is gone.
 * @throws {RangeError} when {@link isStorableName} says no
 */
export function audienceKeys(name: ClusterStreamName): readonly string[] {
  const key = streamKeys(name).origins.replace("hearth/origins/", "hearth/audience/");
  return [0, 1, 2].map((turn) => `${key}/${turn}`);
}

/** The vhost stands last: without a slash of its own, the key can be read in one way only. */
function escapeVhost(vhost: string): string {
  return vhost.replace(/[%/]/g, (character) => (character === "%" ? "%25" : "%2F"));
}
