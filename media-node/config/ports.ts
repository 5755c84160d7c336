import type { Report, ScalarNode } from "./schema.ts";

/** Where something listens. 0 lets the system choose a free port. */
export interface Port {
  readonly number: number;
  readonly protocol: "tcp" | "udp" | "srt";
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** `host:ports/protocol`. The host is an address (IPv6 without brackets), a name, `*`, `::` or `${PublicIP}`. */
export interface IceCandidateSetting {
  readonly host: string;
  readonly ports: readonly PortRange[];
  readonly protocol: "udp" | "tcp";
}

/** `N` or `N/tcp`, `N/udp`, `N/srt`. Absent: nothing listens. Empty: `fallback`. */
export function port(doc: string, fallback?: number): ScalarNode<Port | undefined> {
  const type = fallback === undefined ? "port" : `port, ${fallback} when empty`;
  return {
    kind: "scalar",
    type,
    doc,
    isRequired: false,
    fallback: undefined,
    read: (text, report) => readPort(text, report, fallback),
  };
}

function readPort(text: string, report: Report, fallback: number | undefined): Port | undefined {
  if (text.trim() === "" && fallback !== undefined) return { number: fallback, protocol: "tcp" };
  const [digits = "", protocol = "tcp", ...rest] = text.trim().toLowerCase().split("/");
  const number = toPortNumber(digits);
  if (number === undefined) {
    report("error", "bad-port", `Invalid port: ${text}`, "Write 0 to 65535; 0 takes any free port.");
    return undefined;
  }
  if (rest.length > 0 || !isPortProtocol(protocol)) {
    report("error", "bad-port", `Unknown socket type: ${text}`, "Write the number alone, or with /tcp, /udp or /srt.");
    return undefined;
  }
  return { number, protocol };
}

function isPortProtocol(word: string): word is Port["protocol"] {
  return word === "tcp" || word === "udp" || word === "srt";
}

function toPortNumber(digits: string): number | undefined {
  if (!/^\d{1,5}$/.test(digits)) return undefined;
  const number = Number(digits);
  return number <= 65_535 ? number : undefined;
}

/** An ICE candidate: `host:ports/protocol` with ports such as `10000`, `10000-10005` or `10000,10002`; udp unless given. */
export function iceCandidate(doc: string): ScalarNode<IceCandidateSetting | undefined> {
  return {
    kind: "scalar",
    type: "host:ports/protocol",
    doc,
    isRequired: false,
    fallback: undefined,
    read: readIceCandidate,
  };
}

function readIceCandidate(text: string, report: Report): IceCandidateSetting | undefined {
  const match = /^(.*):([\d,\s-]+)(?:\/(udp|tcp))?$/i.exec(text.trim());
  const host = match?.[1] ?? "";
  const ports = match ? readRanges(match[2]!) : undefined;
  if (!match || !ports || host === "" || /[\s/@]/.test(host)) {
    report(
      "error",
      "bad-ice-candidate",
      `Invalid ICE candidate: ${text}`,
      "Write host:port/udp, for example *:10000/udp or 203.0.113.7:10000-10003/udp.",
    );
    return undefined;
  }
  return { host: host.replace(/^\[(.*)\]$/, "$1"), ports, protocol: match[3]?.toLowerCase() === "tcp" ? "tcp" : "udp" };
}

function readRanges(text: string): PortRange[] | undefined {
  const ranges: PortRange[] = [];
  for (const part of text.split(",").slice(0, 64)) {
    const [from = "", to = from, ...rest] = part.trim().split("-");
    const first = toPortNumber(from.trim());
    const last = toPortNumber(to.trim());
    if (rest.length > 0 || first === undefined || last === undefined || last < first) return undefined;
    ranges.push({ first, last });
  }
  return ranges;
}
