import { isInRange } from "../cluster/ticket/ip-range.ts";

/** Who asks, as far as it is known. */
export interface ViewerAddress {
  /** Of the viewer: the socket's peer, or who a trusted proxy says it speaks for. */
  readonly address: string;
  /** Whether the viewer spoke TLS, where a trusted proxy says so. */
  readonly isTls?: boolean;
}

/** Proxies in a row that are looked through; a longer list is an attack or a mistake. */
const maxProxies = 16;

/**
 * Whose request it is. What a request says about itself (`X-Real-IP`, `X-Forwarded-For`, `X-Forwarded-Proto`) counts only
 * when it comes from a trusted proxy. Of `X-Forwarded-For` the last address that is no trusted proxy is taken: those
 * before it were written by whoever asked.
 * @param peer the socket's
 * @param trustedProxies addresses and networks
 */
export function viewerAddress(
  peer: string,
  header: (name: string) => string | undefined,
  trustedProxies: readonly string[],
): ViewerAddress {
  const isProxy = (address: string): boolean => trustedProxies.some((range) => isInRange(address, range) === true);
  if (trustedProxies.length === 0 || !isProxy(peer)) return { address: peer };
  const proto = header("x-forwarded-proto")?.trim().toLowerCase();
  const tls = proto === "https" || proto === "http" ? { isTls: proto === "https" } : {};
  return { address: realIp(header("x-real-ip")) ?? forwardedFor(header("x-forwarded-for"), isProxy) ?? peer, ...tls };
}

function forwardedFor(list: string | undefined, isProxy: (address: string) => boolean): string | undefined {
  const hops = (list ?? "").split(",").slice(-maxProxies).map(realIp).toReversed();
  for (const hop of hops) {
    if (hop === undefined) return undefined;
    if (!isProxy(hop)) return hop;
  }
  return hops.at(-1);
}

/** An address without brackets and port; `undefined` for anything else. */
function realIp(text: string | undefined): string | undefined {
  const trimmed = (text ?? "").trim();
  const plain = /^\[([^\]]*)\](?::\d+)?$/.exec(trimmed)?.[1] ?? trimmed.replace(/^([\d.]+):\d+$/, "$1");
  return isInRange(plain, plain) === true ? plain : undefined;
}
