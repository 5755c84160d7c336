import { isIP } from "node:net";
import type { NodeRecord } from "#cluster/store/contract.ts";

/** What one name answers with. */
export interface RecordSet {
  /** Absolute, without the last dot: `edge.example.com`. */
  readonly name: string;
  /** Part of `name` that a zone of its own keeps: `example.com`. */
  readonly zone: string;
  /** Seconds. */
  readonly ttl: number;
  readonly a: readonly string[];
  readonly aaaa: readonly string[];
}

/** A node's host name that nobody can resolve now, or an address that is none. */
export interface UnresolvedNode {
  readonly id: string;
  readonly host: string;
}

/**
 * The addresses at which viewers of one shared name may arrive: every node that serves viewers now. Starting and
 * draining nodes and pure origins are left out.
 * @param resolve all addresses of a host name; called once for each name, may reject
 */
export async function addressesOf(
  nodes: readonly NodeRecord[],
  resolve: (host: string) => Promise<readonly string[]>,
): Promise<{ readonly addresses: readonly string[]; readonly unresolved: readonly UnresolvedNode[] }> {
  const serving = nodes.filter(({ state, protocols }) => state === "serving" && protocols.length > 0);
  const found = await Promise.all(
    serving.map(async ({ id, url }) => {
      const host = new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
      const addresses = isIP(host) ? [host] : await resolve(host).catch(() => []);
      return { id, host, addresses: addresses.filter((address) => isIP(address) !== 0) };
    }),
  );
  return {
    addresses: [...new Set(found.flatMap(({ addresses }) => addresses))].toSorted(),
    unresolved: found.filter(({ addresses }) => addresses.length === 0).map(({ id, host }) => ({ id, host })),
  };
}

/** Sorts addresses by family under `name`. @throws {RangeError} when `name` does not lie in `zone` */
export function recordSet(
  name: string,
  options: { readonly zone?: string | undefined; readonly ttl: number; readonly addresses: readonly string[] },
): RecordSet {
  const absolute = name.toLowerCase().replace(/\.$/, "");
  const zone = (options.zone ?? absolute.slice(absolute.indexOf(".") + 1)).toLowerCase().replace(/\.$/, "");
  if (!isHostName(absolute) || !isHostName(zone)) throw new RangeError(`"${name}" is no host name with a zone.`);
  if (absolute !== zone && !absolute.endsWith(`.${zone}`)) throw new RangeError(`${name} does not lie in ${zone}.`);
  const ofFamily = (family: number): string[] => options.addresses.filter((address) => isIP(address) === family);
  return { name: absolute, zone, ttl: options.ttl, a: ofFamily(4), aaaa: ofFamily(6) };
}

/** A piece of a zone file (RFC 1035 §5), one line an address. */
export function zoneFileOf({ name, ttl, a, aaaa }: RecordSet): string {
  const line = (type: string) => (address: string) => `${name}. ${ttl} IN ${type} ${address}\n`;
  return [...a.map(line("A")), ...aaaa.map(line("AAAA"))].join("");
}

/**
 * The same as JSON, which is YAML too: octoDNS reads it as the zone's source (`YamlProvider`, file `example.com.yaml`),
 * a script with any JSON reader. The name is relative to the zone, `""` for the zone's own.
 */
export function jsonOf({ name, zone, ttl, a, aaaa }: RecordSet): string {
  const records = [
    ...(a.length > 0 ? [{ type: "A", ttl, values: a }] : []),
    ...(aaaa.length > 0 ? [{ type: "AAAA", ttl, values: aaaa }] : []),
  ];
  const label = name === zone ? "" : name.slice(0, -zone.length - 1);
  return `${JSON.stringify({ [label]: records }, null, 2)}\n`;
}

const isHostName = (text: string): boolean =>
  text.length <= 253 && text.includes(".") && text.split(".").every((label) => /^[\w-]{1,63}$/.test(label));
