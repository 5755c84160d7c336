import type { MatchMode, OriginRule } from "./origin-rule.ts";

export type RuleMatch =
  | { readonly kind: "rule"; readonly rule: OriginRule; readonly index: number; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/** What matching needs to know of a virtual host. */
export interface VhostRules {
  readonly name: string;
  readonly origins: { readonly rules: readonly OriginRule[] };
}

/** The first rule, in order of the file, whose location fits `/app/stream`. Bytes are compared as they came. */
export function matchRule(vhost: VhostRules, app: string, stream: string, mode: MatchMode = "prefix"): RuleMatch {
  const requested = `/${app}/${stream}`;
  const { rules } = vhost.origins;
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index]!;
    if (!fits(rule, requested, mode)) continue;
    const how = rule.isStrict ? "equals" : mode === "segments" ? "begins, by whole segments, with" : "begins with";
    return { kind: "rule", rule, index, reason: `"${requested}" ${how} "${rule.location}" (rule ${index + 1})` };
  }
  return { kind: "none", reason: `none of the ${rules.length} rules of "${vhost.name}" fits "${requested}"` };
}

function fits(rule: OriginRule, requested: string, mode: MatchMode): boolean {
  const { location } = rule;
  if (rule.isStrict) return requested === location;
  if (!requested.startsWith(location)) return false;
  if (mode === "prefix" || location === "" || location.endsWith("/")) return true;
  return requested.length === location.length || requested[location.length] === "/";
}
