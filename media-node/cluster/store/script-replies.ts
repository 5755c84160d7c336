/**
 * What the scripts answer, as values. Servers differ: a number may come as text, and anything may have been planted.
 * What has the wrong shape as a whole is {@link StoreUnavailable}; a single entry that is wrong is left out.
 */
import { StoreUnavailable, type ClaimResult, type ClusterSnapshot, type Course } from "./contract.ts";
import { storeLimits } from "./keys.ts";

/** Of `snapshotCall`. */
export function parseSnapshot(reply: unknown): ClusterSnapshot {
  if (!Array.isArray(reply) || reply.length < 3) throw nonsense("snapshot");
  const [now, records, urls] = reply as unknown[];
  return { nowMs: parseCount(now), nodes: parseRecords(records), origins: parseUrls(urls) };
}

/** Of `lookupCall`: at most 17 URLs of at most 2 KiB, best first; still untrusted. */
export function parseUrls(reply: unknown): readonly string[] {
  if (!Array.isArray(reply)) throw nonsense("lookup");
  return (reply as unknown[])
    .slice(0, storeLimits.originsPerStream + 1)
    .filter((url): url is string => isText(url, storeLimits.urlBytes));
}

/** Of `claimCall`. The epoch is told to standbys, too, so that they can pass it on with their next claim. */
export function parseClaim(reply: unknown): { readonly result: ClaimResult; readonly epoch: number } {
  if (!Array.isArray(reply)) throw nonsense("claim");
  const [kind, ...rest] = reply as unknown[];
  if (kind === "owner") {
    const epoch = parseCount(rest[0]);
    return { result: { kind, epoch }, epoch };
  }
  const [ownerUrl, epoch] = rest;
  if (kind !== "standby" || !isText(ownerUrl, storeLimits.urlBytes)) throw nonsense("claim");
  return { result: { kind, ownerUrl }, epoch: parseCount(epoch) };
}

/** A whole number that is not negative, sent as number or as digits. */
export function parseCount(reply: unknown): number {
  const count = typeof reply === "string" && /^\d{1,16}$/.test(reply) ? Number(reply) : reply;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) throw nonsense("number");
  return count;
}

/** Of `agreeCourseCall`. */
export function parseCourse(reply: unknown): Course {
  if (!Array.isArray(reply)) throw nonsense("course");
  const [breaks, began] = reply as unknown[];
  return { breaks: parseCount(breaks), ...(began !== "" && { beganMs: parseCount(began) }) };
}

function parseRecords(reply: unknown): readonly string[] {
  if (!Array.isArray(reply)) throw nonsense("snapshot");
  let bytes = 0;
  return (reply as unknown[])
    .slice(0, storeLimits.nodes)
    .filter(
      (record): record is string =>
        isText(record, storeLimits.recordBytes) && (bytes += record.length) <= storeLimits.snapshotBytes,
    );
}

function isText(value: unknown, limit: number): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= limit;
}

function nonsense(what: string): StoreUnavailable {
  return new StoreUnavailable(`the store's ${what} reply has the wrong shape`);
}
