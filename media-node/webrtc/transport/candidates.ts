import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { IceCandidate } from "../media-port.ts";

/** RFC 8445 §5.1.2.1: type preference of a host candidate; TCP stands below every UDP candidate (RFC 6544 §4.2). */
const hostPreference = 126;
const tcpHostPreference = 90;
/** RFC 6544 §4.2: direction preference of a passive candidate, in the top bits of the local preference. */
const passivePreference = 2 << 13;

/**
 * Host candidates for the advertised addresses, in their order, UDP before TCP.
 * @param ports where each protocol listens; a missing one gives no candidates
 */
export function hostCandidates(
  addresses: readonly string[],
  ports: {
    readonly udp?: (address: string) => number | undefined;
    readonly tcp?: (address: string) => number | undefined;
  },
): IceCandidate[] {
  const candidates: IceCandidate[] = [];
  for (const protocol of ["udp", "tcp"] as const) {
    addresses.forEach((address, rank) => {
      const port = ports[protocol]?.(address);
      if (port === undefined) return;
      const local = protocol === "udp" ? 65_535 - rank : passivePreference + 8191 - rank;
      const type = protocol === "udp" ? hostPreference : tcpHostPreference;
      // §5.1.1.3: equal only for equal protocol and base address
      const foundation = `${protocol === "udp" ? 1 : 2}${rank}`;
      candidates.push({ foundation, protocol, priority: type * 2 ** 24 + local * 2 ** 8 + 255, address, port });
    });
  }
  return candidates;
}

/** Addresses of this machine that others can reach: IPv4 first, no loopback, no link-local. Loopback if there is nothing else. */
export function reachableAddresses(): string[] {
  const all = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith("fe80:") && !address.startsWith("169.254."))
    .map(({ address }) => address);
  const found = [...all.filter((address) => isIPv4(address)), ...all.filter((address) => !isIPv4(address))];
  return found.length > 0 ? found : ["127.0.0.1"];
}
