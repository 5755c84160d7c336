import { buildUrls, type BuiltUrl } from "../cluster/origin-map/build-urls.ts";
import { matchRule } from "../cluster/origin-map/match-rule.ts";
import { nameProblem } from "../cluster/origin-map/split-path.ts";
import { findApplication } from "./find-application.ts";
import type { ApplicationConfig, OriginRule, ServerConfig, VhostConfig } from "./server-config.ts";

/** A stream as a request names it, after its host was resolved. */
export interface RequestedStream {
  readonly vhost: string;
  readonly app: string;
  readonly stream: string;
}

export interface MapPlan {
  readonly kind: "urls";
  /** To be pulled, in this order; at least one. */
  readonly urls: readonly string[];
  /** All that the rule made of the request, refused ones included. */
  readonly built: readonly BuiltUrl[];
  readonly rule: OriginRule;
  /** Counts from 0. */
  readonly ruleIndex: number;
  readonly application: ApplicationConfig;
  readonly isDynamic: boolean;
  readonly reason: string;
}

/** Nothing can be pulled, and why. `built` tells what a rule made of the request, where one fitted. */
export interface NoPlan {
  readonly kind: "none";
  readonly reason: string;
  readonly rule?: OriginRule;
  readonly ruleIndex?: number;
  readonly built?: readonly BuiltUrl[];
}

export interface StorePlan {
  readonly kind: "urls";
  readonly urls: readonly string[];
  readonly application: ApplicationConfig;
  readonly isDynamic: boolean;
  readonly reason: string;
}

/** What the OriginMap says to a request. The first rule that fits decides: when it cannot work, no later one is tried. */
export function planFromMap(config: ServerConfig, name: RequestedStream, rawQuery: string): MapPlan | NoPlan {
  const vhost = config.vhosts.find((candidate) => candidate.name === name.vhost);
  const problem = requestProblem(vhost, name);
  if (!vhost || problem !== undefined) return { kind: "none", reason: problem ?? "there is no such virtual host" };
  const match = matchRule(vhost, name.app, name.stream, config.hearth.locationMatching);
  if (match.kind === "none") return match;
  const { rule, index: ruleIndex } = match;
  const target = targetOf(vhost, name.app, rule.scheme, "rule");
  if (target.kind === "none") return { ...target, rule, ruleIndex };
  const built = buildUrls(rule, name.app, name.stream, rawQuery, { ownQueryKeys: policyKeys(vhost) });
  const urls = built.filter(({ refused }) => refused === undefined).map(({ url }) => url);
  if (urls.length === 0) {
    const reason = built[0]?.refused ?? "the rule has no Url";
    return { kind: "none", reason: `rule ${ruleIndex + 1} fits, but ${reason}`, rule, ruleIndex, built };
  }
  const { application, isDynamic } = target;
  return { kind: "urls", urls, built, rule, ruleIndex, application, isDynamic, reason: match.reason };
}

/**
 * What can be pulled of what the OriginMapStore answered, the virtual host's applications considered.
 * @param found untrusted; only `ovt`, `ovts` and `rtsp` URLs with a host pass
 */
export function planFromStore(
  config: ServerConfig,
  name: RequestedStream,
  found: readonly string[],
): StorePlan | NoPlan {
  const vhost = config.vhosts.find((candidate) => candidate.name === name.vhost);
  const problem = requestProblem(vhost, name);
  if (!vhost || problem !== undefined) return { kind: "none", reason: problem ?? "there is no such virtual host" };
  if (found.length === 0) return { kind: "none", reason: "the store knows no origin of the stream" };
  let refused = "the store's entry is not a URL that can be pulled";
  const urls: string[] = [];
  let chosen: Target | undefined;
  for (const url of found) {
    const scheme = pullableScheme(url);
    if (scheme === undefined) continue;
    const target = targetOf(vhost, name.app, scheme, "store");
    if (target.kind === "none") refused = target.reason;
    else {
      urls.push(url);
      chosen ??= target;
    }
  }
  if (!chosen) return { kind: "none", reason: refused };
  const { application, isDynamic } = chosen;
  return { kind: "urls", urls, application, isDynamic, reason: `the store names ${urls.length} origin(s)` };
}

interface Target {
  readonly kind: "target";
  readonly application: ApplicationConfig;
  readonly isDynamic: boolean;
}

function requestProblem(
  vhost: VhostConfig | undefined,
  { vhost: wanted, app, stream }: RequestedStream,
): string | undefined {
  if (!vhost) return `there is no virtual host "${wanted}"`;
  return nameProblem("app", app) ?? nameProblem("stream", stream);
}

/** @param from what the operator wrote as a rule may do more than what somebody wrote into the store */
function targetOf(vhost: VhostConfig, app: string, scheme: string, from: "rule" | "store"): Target | NoPlan {
  const provider = providerOf(scheme);
  if (provider !== "ovt" && provider !== "rtsp" && !(provider === "file" && from === "rule")) {
    return { kind: "none", reason: `nothing pulls "${scheme}"` };
  }
  const choice = findApplication(vhost, app);
  if (choice.kind === "none") return choice;
  const { application, isDynamic } = choice;
  // "The application automatically generated by Origin doesn't need to worry because all providers are enabled."
  const isEnabled = provider === "file" || (isDynamic && from === "rule") || application.providers.includes(provider);
  if (!isEnabled) {
    const element = provider === "ovt" ? "OVT" : "RTSPPull";
    return { kind: "none", reason: `the provider <${element}> is not enabled for "${app}"` };
  }
  return { kind: "target", application, isDynamic };
}

const secureSchemes = new Map([
  ["rtsps", "rtsp"],
  ["ovts", "ovt"],
]);

/** The provider that pulls by a scheme: RTSP and OVT pull with and without TLS. */
export function providerOf(scheme: string): string {
  const provider = scheme.toLowerCase();
  return secureSchemes.get(provider) ?? provider;
}

/** `ovt`, `ovts` or `rtsp`, when the URL is one that a pull can take: with a host, without control characters or blanks. */
function pullableScheme(url: string): string | undefined {
  if (url.length > 2_048) return undefined;
  const match =
    /^(ovts?|rtsp):\/\/(?:[^\s/?#@\\]*@)?(?:\[[\da-f:.]+\]|[^\s/?#@\\:[\]]+)(?::\d{1,5})?\/[^\s\p{Cc}]*$/iu.exec(url);
  return match?.[1];
}

function policyKeys({ signedPolicy }: VhostConfig): readonly string[] {
  return signedPolicy ? [signedPolicy.policyKey, signedPolicy.signatureKey].filter((key) => key !== "") : [];
}
