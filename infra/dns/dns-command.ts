/** `hearth dns`: the records that a shared name should have now, from the live registry. See docs/deploy-dns.md. */
import { lookup } from "node:dns/promises";
import { parseArgs } from "node:util";
import type { ClusterStore } from "../../media-node/cluster/store/contract.ts";
import { parseNodeRecord } from "../../media-node/cluster/store/node-record.ts";
import { importSigningKey } from "../../media-node/cluster/ticket/signing-key.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { SettingError, UsageError } from "../../media-node/flow/errors.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { addressesOf, jsonOf, recordSet, zoneFileOf } from "./record-sets.ts";

const usage = `hearth dns NAME [--zone example.com] [--ttl 30] [--format zone|json]

Prints the addresses of all nodes that serve viewers, as records of NAME (edge.example.com). Reads REDIS_URL, and
HEARTH_SECRET where the cluster has one. Prints nothing and ends with 1 when no node serves or the store is silent, so
that a name in use is never emptied.`;

const formats = new Map([
  ["zone", zoneFileOf],
  ["json", jsonOf],
]);

export interface DnsCommandOutput {
  readonly stdout: string;
  /** What the operator should know, one sentence a line. */
  readonly stderr: string;
  readonly exitCode: number;
}

/**
 * Runs the command with its own arguments.
 * @throws {SettingError} when arguments or environment make no sense
 * @throws {StoreUnavailable} when the store is silent
 */
export async function runDns(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<DnsCommandOutput> {
  const { name, zone, ttl, print } = parseSettings(args);
  const url = env["REDIS_URL"];
  if (!url) throw new SettingError("Set REDIS_URL (redis://host:6379) to the nodes' store.");
  const key = env["HEARTH_SECRET"] ? await importSigningKey(env["HEARTH_SECRET"]) : undefined;
  recordSet(name, { zone, ttl, addresses: [] });
  const { records, doubts } = await readNodes(url, key);
  const { addresses, unresolved } = await addressesOf(records, async (host) =>
    (await lookup(host, { all: true })).map(({ address }) => address),
  );
  const notes = [...doubts, ...unresolved.map(({ id, host }) => `${id}: ${host} has no address now; left out.`)];
  if (addresses.length === 0) notes.push("No node serves viewers: nothing is printed, keep what is published.");
  return {
    stdout: addresses.length > 0 ? print(recordSet(name, { zone, ttl, addresses })) : "",
    stderr: notes.map((note) => `${note}\n`).join(""),
    exitCode: addresses.length > 0 ? 0 : 1,
  };
}

async function readNodes(url: string, key: Awaited<ReturnType<typeof importSigningKey>> | undefined) {
  // A store's own timers do not keep a process alive, and here nothing else does.
  const keepAlive = setInterval(() => {}, 60_000);
  const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 3_000 });
  try {
    return await believedNodes(store, key);
  } finally {
    await store.close();
    clearInterval(keepAlive);
  }
}

async function believedNodes(store: ClusterStore, key: Awaited<ReturnType<typeof importSigningKey>> | undefined) {
  // Nodes come with any stream's snapshot; this one is nobody's.
  const { nodes, nowMs } = await store.snapshot({ vhost: "default", app: "-", stream: "-" });
  const verdicts = await Promise.all(nodes.map((text) => parseNodeRecord(key, text, nowMs)));
  return {
    records: verdicts.flatMap((verdict) => (verdict.trusted ? [verdict.record] : [])),
    doubts: verdicts.flatMap((verdict) =>
      verdict.trusted ? [] : [`${verdict.id || "a record"} is not believed (${verdict.refusal}); left out.`],
    ),
  };
}

function parseSettings(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      zone: { type: "string" },
      ttl: { type: "string", default: "30" },
      format: { type: "string", default: "zone" },
    },
  });
  const [name] = positionals;
  if (name === undefined || positionals.length > 1) throw new UsageError(usage);
  const ttl = Number(values.ttl);
  if (!Number.isInteger(ttl) || ttl < 1 || ttl > 86_400) {
    throw new SettingError(`--ttl is "${values.ttl}": give seconds from 1 to 86400.`);
  }
  const print = formats.get(values.format);
  if (!print) throw new SettingError(`--format is "${values.format}": choose zone or json.`);
  return { name, zone: values.zone, ttl, print };
}
