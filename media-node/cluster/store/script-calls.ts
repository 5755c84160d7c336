import type { ClusterStreamName, CourseSeen, StreamClaim } from "./contract.ts";
import {
  audienceKeys,
  courseKey,
  epochKey,
  isStorableWord,
  nodeLeasesKey,
  nodeRecordsKey,
  storeLimits,
  streamKeys,
} from "./keys.ts";
import {
  agreeCourseScript,
  agreeEpochScript,
  claimScript,
  countAudienceScript,
  dropNodeScript,
  largestCount,
  lookupScript,
  mostBreaks,
  putNodeScript,
  releaseScript,
  snapshotScript,
} from "./scripts.ts";

/** What an adapter hands to EVAL. Every function here throws a RangeError on names or values that the store cannot keep. */
export interface ScriptCall {
  readonly script: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** Reply: {@link parseSnapshot}. Writes nothing, so a read-only token may run it (`EVAL_RO` where the server has it). */
export function snapshotCall(name: ClusterStreamName): ScriptCall {
  return { script: snapshotScript, keys: [...nodeKeys, ...keysOf(name)], args: [name.vhost] };
}

/** As {@link snapshotCall} without a stream: for stores whose keys lie on several machines. */
export function nodesCall(): ScriptCall {
  return { script: snapshotScript, keys: nodeKeys, args: [""] };
}

/** Reply: {@link parseUrls}. Writes nothing. */
export function lookupCall(name: ClusterStreamName): ScriptCall {
  return { script: lookupScript, keys: keysOf(name), args: [name.vhost] };
}

/**
 * Reply: {@link parseClaim}.
 * @param seenEpoch the highest epoch that this process was told for the stream; 0 before its first answer
 */
export function claimCall(claim: StreamClaim, seenEpoch: number): ScriptCall {
  checkClaim(claim);
  return {
    script: claimScript,
    keys: keysOf(claim),
    args: [claim.url, claim.owner, claim.vhost, String(seenEpoch)],
  };
}

/** Reply: 0 or 1. */
export function releaseCall(claim: StreamClaim): ScriptCall {
  checkClaim(claim);
  return { script: releaseScript, keys: keysOf(claim), args: [claim.url, claim.owner, claim.vhost] };
}

/** Reply: {@link parseCount}; 0 when the store knows too many nodes already. */
export function putNodeCall(id: string, signedRecord: string): ScriptCall {
  if (!isStorableWord(id)) throw new RangeError("a node id that the store cannot keep");
  if (signedRecord.length > storeLimits.recordBytes) throw new RangeError("a node record past 64 KiB");
  return { script: putNodeScript, keys: nodeKeys, args: [id, signedRecord] };
}

/** Reply: digits. */
export function agreeEpochCall(name: ClusterStreamName, source: string, mediaMs: number, heldMs?: number): ScriptCall {
  const args = [Math.round(mediaMs), ...(heldMs === undefined ? [] : [Math.round(heldMs)])];
  if (!args.every(Number.isSafeInteger)) throw new RangeError("a time that the store cannot keep");
  return { script: agreeEpochScript, keys: [epochKey(name, source)], args: [String(args[0]), String(args[1] ?? "")] };
}

/** Reply: {@link parseCourse}. */
export function agreeCourseCall(name: ClusterStreamName, source: string, seen: CourseSeen): ScriptCall {
  const { shape, breaks, isFollowed } = seen;
  const beganMs = seen.beganMs === undefined ? undefined : Math.floor(seen.beganMs);
  if (!/^[0-9a-z]{1,64}$/i.test(shape)) throw new RangeError("a shape that the store cannot keep");
  const isCount = Number.isSafeInteger(breaks) && breaks >= 0 && breaks <= mostBreaks;
  if (!isCount) throw new RangeError("a count that the store cannot keep");
  if (beganMs !== undefined && !(beganMs >= 0 && beganMs <= largestCount))
    throw new RangeError("a time that the store cannot keep");
  const args = [shape, String(breaks), isFollowed ? "1" : "0", String(beganMs ?? "")];
  return { script: agreeCourseScript, keys: [courseKey(name, source)], args };
}

/** Reply: {@link parseCount}. */
export function countAudienceCall(name: ClusterStreamName, viewers: readonly string[]): ScriptCall {
  if (viewers.length > storeLimits.audienceIds) throw new RangeError("more viewers than the store takes at once");
  if (!viewers.every(isStorableWord)) throw new RangeError("a viewer that the store cannot keep");
  return { script: countAudienceScript, keys: audienceKeys(name), args: viewers };
}

/** Reply: 0 or 1. */
export function dropNodeCall(id: string): ScriptCall {
  if (!isStorableWord(id)) throw new RangeError("a node id that the store cannot keep");
  return { script: dropNodeScript, keys: nodeKeys, args: [id] };
}

const nodeKeys = [nodeRecordsKey, nodeLeasesKey] as const;

function keysOf(name: ClusterStreamName): readonly string[] {
  const { origins, plain, plainMark } = streamKeys(name);
  return [origins, plain, plainMark];
}

function checkClaim({ url, owner }: StreamClaim): void {
  if (!isStorableWord(owner) || /\s/.test(owner)) throw new RangeError("an owner that the store cannot keep");
  // Blanks are left in: OvenMediaEngine writes a stream's name as it is.
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\p{Cc}]+$/iu.test(url)) throw new RangeError("an origin URL without scheme");
  if (new TextEncoder().encode(url).length > storeLimits.urlBytes) throw new RangeError("an origin URL past 2 KiB");
}
