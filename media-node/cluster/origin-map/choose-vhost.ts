/** What choosing needs to know of a virtual host. */
export interface NamedVhost {
  readonly name: string;
  /** Host patterns: `*` stands for any text, `?` for at most one character. */
  readonly hostNames: readonly string[];
}

export type VhostChoice<V> =
  | { readonly kind: "vhost"; readonly vhost: V; readonly pattern: string; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/**
 * The first virtual host with a name that matches; specificity plays no role.
 * @param host as in a `Host` header: a port is cut off, IPv6 literals stand in brackets; compared without regard to
 * case (RFC 9110 §4.2.3), where OvenMediaEngine looks at case
 */
export function chooseVhost<V extends NamedVhost>(
  config: { readonly vhosts: readonly V[] },
  host: string,
): VhostChoice<V> {
  const name = withoutPort(host).toLowerCase();
  if (name === "") return { kind: "none", reason: "the request names no host" };
  for (const vhost of config.vhosts) {
    const pattern = vhost.hostNames.find((candidate) => matchHost(candidate.toLowerCase(), name));
    if (pattern !== undefined) {
      return {
        kind: "vhost",
        vhost,
        pattern,
        reason: `"${pattern}" of "${vhost.name}" is the first to match "${name}"`,
      };
    }
  }
  return { kind: "none", reason: `no virtual host has a name that matches "${name}"` };
}

function withoutPort(host: string): string {
  if (host.startsWith("[")) return host.slice(0, host.indexOf("]") + 1);
  const colon = host.indexOf(":");
  return colon < 0 ? host : host.slice(0, colon);
}

/**
 * Whether one pattern matches one host, both as they are: case counts, the port is part of the host. As in
 * OvenMediaEngine parentheses only group, and a pattern whose parentheses do not pair matches nothing.
 */
export function matchHost(pattern: string, host: string): boolean {
  const plain = withoutGroups(pattern);
  return plain !== undefined && matchWildcards(plain, host);
}

function withoutGroups(pattern: string): string | undefined {
  if (!pattern.includes("(") && !pattern.includes(")")) return pattern;
  let depth = 0;
  for (const letter of pattern) {
    if (letter === "(") depth++;
    else if (letter === ")" && --depth < 0) return undefined;
  }
  return depth === 0 ? pattern.replace(/[()]/g, "") : undefined;
}

/** No regular expression, so that no pattern takes more than pattern × host steps. */
function matchWildcards(pattern: string, host: string): boolean {
  const star = pattern.indexOf("*");
  if (pattern.includes("?")) return matchOptional(pattern, host);
  if (star < 0) return pattern === host;
  if (!host.startsWith(pattern.slice(0, star))) return false;
  const parts = pattern.slice(star + 1).split("*");
  const last = parts.pop()!;
  let at = star;
  // Between two stars the earliest place is as good as any.
  for (const part of parts) {
    const found = host.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return host.length - last.length >= at && host.endsWith(last);
}

function matchOptional(pattern: string, host: string): boolean {
  // reached[i]: the pattern so far matches the first i characters of the host.
  let reached = new Uint8Array(host.length + 1);
  reached[0] = 1;
  for (const letter of pattern) {
    const next = new Uint8Array(host.length + 1);
    for (let i = 0; i <= host.length; i++) {
      const isHere = reached[i] === 1;
      const isFromLeft = i > 0 && reached[i - 1] === 1;
      if (letter === "*") next[i] = isHere || (i > 0 && next[i - 1] === 1) ? 1 : 0;
      else if (letter === "?") next[i] = isHere || isFromLeft ? 1 : 0;
      else next[i] = isFromLeft && host[i - 1] === letter ? 1 : 0;
    }
    reached = next;
  }
  return reached[host.length] === 1;
}
