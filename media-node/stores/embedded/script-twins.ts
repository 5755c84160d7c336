/**
 * The scripts of `cluster/store/scripts.ts` once more, in JavaScript: what the embedded store runs when it is sent one
 * of them. The contract suite runs against both. Line by line beside the Lua; text is bytes as latin1 characters.
 */
import { audienceMs, nodeLeaseMs, storeLimits, streamLeaseMs } from "../../cluster/store/keys.ts";
import {
  agreeCourseScript,
  agreeEpochScript,
  claimScript,
  countAudienceScript,
  dropNodeScript,
  epochAgreementMs,
  epochMemoryMs,
  epochToleranceMs,
  largestCount,
  lookupScript,
  missedLeaseMs,
  mostBreaks,
  nodesMemoryMs,
  putNodeScript,
  releaseScript,
  snapshotScript,
} from "../../cluster/store/scripts.ts";
import type { RespValue } from "../resp/resp-value.ts";
import type { Keyspace } from "./keyspace.ts";

export interface ScriptTwin {
  readonly minKeys: number;
  /** Undefined: any number. */
  readonly args: number | undefined;
  readonly run: (keyspace: Keyspace, keys: readonly string[], args: readonly string[]) => RespValue;
}

/** By the script's text. */
export const scriptTwins: ReadonlyMap<string, ScriptTwin> = new Map([
  [claimScript, { minKeys: 1, args: 4, run: claim }],
  [releaseScript, { minKeys: 1, args: 3, run: release }],
  [lookupScript, { minKeys: 1, args: 1, run: lookup }],
  [putNodeScript, { minKeys: 2, args: 2, run: putNode }],
  [dropNodeScript, { minKeys: 2, args: 1, run: dropNode }],
  [agreeEpochScript, { minKeys: 1, args: 2, run: agreeEpoch }],
  [agreeCourseScript, { minKeys: 1, args: 4, run: agreeCourse }],
  [countAudienceScript, { minKeys: 3, args: undefined, run: countAudience }],
  [snapshotScript, { minKeys: 2, args: 1, run: snapshot }],
]);

/** Viewers of one stream that are told apart. */
const maxAudience = 100_000;

interface Claim {
  readonly url: string;
  endsMs: number;
  readonly rank: number;
  owner: string;
}

function liveClaims(keyspace: Keyspace, key: string): { live: Claim[]; dead: string[] } | undefined {
  const value = keyspace.get(key);
  const fields = value?.kind === "hash" ? value.fields : new Map<string, string>();
  if ((value && value.kind !== "hash") || fields.size > 4 * storeLimits.originsPerStream) return undefined;
  const nowMs = keyspace.nowMs();
  const live: Claim[] = [];
  const dead: string[] = [];
  for (const [url, mark] of fields) {
    if (url === "epoch") continue;
    const [, ends, rank, owner] = /^(\d+) (\d+) (\S+)$/.exec(mark) ?? [];
    const endsMs = Number(ends);
    const isLive = endsMs > nowMs && endsMs <= nowMs + 2 * streamLeaseMs && Number(rank) <= largestCount;
    if (isLive && isUrl(url)) live.push({ url, endsMs, rank: Number(rank), owner: owner! });
    else dead.push(url);
  }
  live.sort((a, b) => a.rank - b.rank);
  return { live, dead };
}

function claim(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [key = "", plainKey, markKey] = keys;
  const [url = "", owner = "", vhost = "", seenText = ""] = args;
  const nowMs = keyspace.nowMs();
  const seen = Number(seenText);
  let claims = liveClaims(keyspace, key);
  if (!claims) {
    keyspace.delete(key);
    claims = { live: [], dead: [] };
  }
  const { live, dead } = claims;
  const fields = keyspace.hashToWrite(key);
  for (const field of dead) fields.delete(field);

  let mine = live.find((other) => other.url === url);
  const isReplaced = mine !== undefined && mine.owner !== owner && seen > 0 && mine.endsMs - nowMs > missedLeaseMs;
  if (mine && !isReplaced) {
    mine.owner = owner;
    mine.endsMs = nowMs + streamLeaseMs;
  } else if (!mine && live.length < storeLimits.originsPerStream) {
    const last = Math.max(0, ...live.map(({ rank }) => rank));
    mine = { url, owner, rank: Math.max(nowMs, last + 1), endsMs: nowMs + streamLeaseMs };
    live.push(mine);
  }
  if (mine && !isReplaced) fields.set(url, `${mine.endsMs} ${mine.rank} ${owner}`);

  const head = live[0]!;
  const epoch = epochOf(fields, head.owner, seen, nowMs);
  keyspace.expireAt(key, nowMs + epochMemoryMs);

  if (isReplaced || head !== mine) return ["standby", head.url, String(epoch)];
  if (markKey !== undefined) {
    const plain = readPlain(keyspace, plainKey!, markKey, vhost);
    if (plain.whose === "foreign" && plain.value !== url) return ["standby", plain.value, String(epoch)];
    if (plain.whose === "none" || plain.whose === "ours" || plain.whose === "foreign") {
      writePlain(keyspace, plainKey!, markKey, vhost, url, streamLeaseMs);
    }
  }
  return ["owner", String(epoch)];
}

function epochOf(fields: Map<string, string>, owner: string, seen: number, nowMs: number): number {
  const [, digits, holder] = /^(\d+) (\S+)$/.exec(fields.get("epoch") ?? "") ?? [];
  let epoch = Number(digits ?? 0);
  if (epoch > largestCount) epoch = 0;
  if (holder === owner && seen <= epoch) return epoch;
  epoch = Math.max(epoch, seen, nowMs - 1) + 1;
  fields.set("epoch", `${epoch} ${owner}`);
  return epoch;
}

function release(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [key = "", plainKey, markKey] = keys;
  const [url = "", owner = "", vhost = ""] = args;
  const value = keyspace.get(key);
  const fields = value?.kind === "hash" ? value.fields : undefined;
  if (/^\d+ \d+ (\S+)$/.exec(fields?.get(url) ?? "")?.[1] !== owner) return 0;
  fields!.delete(url);
  keyspace.deleteIfEmpty(key);
  if (markKey === undefined) return 1;
  const plain = readPlain(keyspace, plainKey!, markKey, vhost);
  if (plain.whose !== "ours" || plain.value !== url) return 1;
  const next = liveClaims(keyspace, key)?.live[0];
  if (next) {
    writePlain(keyspace, plainKey!, markKey, vhost, next.url, next.endsMs - keyspace.nowMs());
  } else {
    keyspace.delete(plainKey!);
    keyspace.delete(markKey);
  }
  return 1;
}

function lookup(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  return originUrls(keyspace, keys, args[0]!);
}

function originUrls(keyspace: Keyspace, keys: readonly string[], vhost: string): string[] {
  const [key = "", plainKey, markKey] = keys;
  const urls = (liveClaims(keyspace, key)?.live ?? []).map(({ url }) => url);
  if (plainKey !== undefined) {
    const plain = readPlain(keyspace, plainKey, markKey!, vhost);
    if (plain.whose === "foreign" && !urls.includes(plain.value)) urls.push(plain.value);
  }
  return urls;
}

function putNode(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [recordsKey = "", leasesKey = ""] = keys;
  const [id = "", record = ""] = args;
  if (keyspace.get(recordsKey)?.kind !== "hash") keyspace.delete(recordsKey);
  if (keyspace.get(leasesKey)?.kind !== "zset") keyspace.delete(leasesKey);
  const nowMs = keyspace.nowMs();
  const leases = keyspace.zsetToWrite(leasesKey);
  const records = keyspace.hashToWrite(recordsKey);
  const isDead = (endsMs: number): boolean => endsMs <= nowMs || endsMs > nowMs + 2 * nodeLeaseMs;
  const forgotten = [...leases].filter(([, endsMs]) => isDead(endsMs)).slice(0, 16);
  for (const [deadId] of forgotten) {
    leases.delete(deadId);
    records.delete(deadId);
  }
  if (leases.size >= storeLimits.nodes && !leases.has(id)) return 0;
  records.set(id, record);
  leases.set(id, nowMs + nodeLeaseMs);
  keyspace.expireAt(recordsKey, nowMs + nodesMemoryMs);
  keyspace.expireAt(leasesKey, nowMs + nodesMemoryMs);
  return nowMs;
}

function dropNode(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [records, leases] = [keyspace.get(keys[0]!), keyspace.get(keys[1]!)];
  if (records?.kind === "hash") records.fields.delete(args[0]!);
  const isRemoved = leases?.kind === "zset" && leases.scores.delete(args[0]!);
  for (const key of keys) keyspace.deleteIfEmpty(key);
  return isRemoved ? 1 : 0;
}

function agreeEpoch(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [key = ""] = keys;
  const [media, held] = args.map((text) => (text === "" ? undefined : Number(text)));
  const nowMs = keyspace.nowMs();
  const measured = nowMs - (media ?? 0);
  const stored = keyspace.get(key);
  const [, first, last] = /^(\d+) (\d+)$/.exec(stored?.kind === "string" ? stored.text : "") ?? [];
  let epoch = Number(first);
  if (first === undefined || epoch > largestCount || Math.abs(measured - Number(last)) > epochToleranceMs) {
    epoch = held ?? Math.max(0, measured);
  }
  keyspace.set(key, { kind: "string", text: `${epoch} ${Math.max(0, measured)}` }, nowMs + epochAgreementMs);
  return String(epoch);
}

function agreeCourse(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [key = ""] = keys;
  let [shape = "", , , began = ""] = args;
  let breaks = Number(args[1]);
  const stored = keyspace.get(key);
  const text = stored?.kind === "string" && stored.text.length < 128 ? stored.text : "";
  const [, known, first = "", last = ""] = /^(\d+) ([\d-]+) ([0-9A-Za-z]+)$/.exec(text) ?? [];
  if (known !== undefined && Number(known) <= mostBreaks) {
    if (/^\d+$/.test(first) && Number(first) <= largestCount)
      began = String(Math.min(Number(began === "" ? first : began), Number(first)));
    if (args[2] !== "1" && last !== shape) breaks = Math.max(breaks, Number(known) + 1);
    else if (breaks <= Number(known)) [breaks, shape] = [Number(known), last];
  }
  const kept = `${breaks} ${began === "" ? "-" : began} ${shape}`;
  keyspace.set(key, { kind: "string", text: kept }, keyspace.nowMs() + epochAgreementMs);
  return [String(breaks), began];
}

/** Redis estimates; here every id is kept: a laptop has few. */
function countAudience(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const nowMs = keyspace.nowMs();
  const span = Math.floor(nowMs / audienceMs);
  const [present, past] = [keys[span % 3]!, keys[(span + 2) % 3]!];
  if (args.length > 0) {
    if (keyspace.get(present)?.kind !== "hash") keyspace.delete(present);
    const seen = keyspace.hashToWrite(present);
    for (const id of args) if (seen.size < maxAudience) seen.set(id, "");
    keyspace.expireAt(present, (span + 2) * audienceMs);
  }
  const before = keyspace.get(past);
  return before?.kind === "hash" ? before.fields.size : 0;
}

function snapshot(keyspace: Keyspace, keys: readonly string[], args: readonly string[]): RespValue {
  const [recordsKey = "", leasesKey = "", ...streamKeys] = keys;
  const nowMs = keyspace.nowMs();
  const [leases, fields] = [keyspace.get(leasesKey), keyspace.get(recordsKey)];
  const live = [...(leases?.kind === "zset" ? leases.scores : [])]
    .filter(([, endsMs]) => endsMs > nowMs && endsMs <= nowMs + 2 * nodeLeaseMs)
    .sort(([a, aMs], [b, bMs]) => aMs - bMs || (a < b ? -1 : 1))
    .slice(0, storeLimits.nodes);
  const records: string[] = [];
  let bytes = 0;
  for (const [id] of live) {
    const record = fields?.kind === "hash" ? fields.fields.get(id) : undefined;
    if (record === undefined || record.length > storeLimits.recordBytes) continue;
    if (bytes + record.length > storeLimits.snapshotBytes) continue;
    records.push(record);
    bytes += record.length;
  }
  return [nowMs, records, streamKeys.length > 0 ? originUrls(keyspace, streamKeys, args[0]!) : []];
}

type Plain =
  | { readonly whose: "none" | "useless" }
  | { readonly whose: "ours" | "other-vhost" | "foreign"; readonly value: string };

function readPlain(keyspace: Keyspace, key: string, markKey: string, vhost: string): Plain {
  const stored = keyspace.get(key);
  if (!stored) return { whose: "none" };
  if (stored.kind !== "string" || !isUrl(stored.text)) return { whose: "useless" };
  const value = stored.text;
  const mark = keyspace.get(markKey);
  if (mark?.kind !== "string" || !mark.text.endsWith(`\n${value}`)) return { whose: "foreign", value };
  return { whose: mark.text === `${vhost}\n${value}` ? "ours" : "other-vhost", value };
}

function writePlain(
  keyspace: Keyspace,
  key: string,
  markKey: string,
  vhost: string,
  url: string,
  leaseMs: number,
): void {
  const endsMs = keyspace.nowMs() + leaseMs;
  keyspace.set(key, { kind: "string", text: url }, endsMs);
  keyspace.set(markKey, { kind: "string", text: `${vhost}\n${url}` }, endsMs);
}

function isUrl(text: string): boolean {
  return text.length <= storeLimits.urlBytes && text.includes("://");
}
