import type { MatchMode, OriginRule } from "./origin-rule.ts";

export type RuleMatch =
  | { readonly kind: "rule"; readonly rule: OriginRule; readonly index: number; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/** What matching needs to know of a virtual host. */
export interface VhostRules {
  readonly name: string;
  readonly origins: { readonly rules: readonly OriginRule[] };
}

/**
 * The first rule, in order of the file, whose location fits `/app/stream`. Bytes are compared as they came. The time does
 * not grow with the number of rules, but with the number of different lengths of their locations.
 */
export function matchRule(vhost: VhostRules, app: string, stream: string, mode: MatchMode = "prefix"): RuleMatch {
  const requested = `/${app}/${stream}`;
  const { rules } = vhost.origins;
  const index = firstFitting(rules, requested, mode);
  const rule = rules[index];
  if (!rule)
    return { kind: "none", reason: `none of the ${rules.length} rules of "${vhost.name}" fits "${requested}"` };
  const how = rule.isStrict ? "equals" : mode === "segments" ? "begins, by whole segments, with" : "begins with";
  return { kind: "rule", rule, index, reason: `"${requested}" ${how} "${rule.location}" (rule ${index + 1})` };
}

function firstFitting(rules: readonly OriginRule[], requested: string, mode: MatchMode): number {
  const { starts, exact, lengths } = indexOf(rules);
  let first = exact.get(requested) ?? rules.length;
  for (const length of lengths) {
    if (length > requested.length) break;
    const index = starts.get(requested.slice(0, length));
    if (index !== undefined && index < first && (mode === "prefix" || isWhole(requested, length))) first = index;
  }
  return first;
}

/** Whether a segment of `requested` ends at `length`. */
function isWhole(requested: string, length: number): boolean {
  return length === 0 || requested.length === length || requested[length - 1] === "/" || requested[length] === "/";
}

/** The first rule of each location: a later one of the same kind and location is never reached. */
interface RuleIndex {
  readonly starts: ReadonlyMap<string, number>;
  readonly exact: ReadonlyMap<string, number>;
  /** Of the locations in `starts`, ascending. */
  readonly lengths: readonly number[];
}

const indexes = new WeakMap<readonly OriginRule[], RuleIndex>();

/** Made once for each list of rules: a configuration never changes, a reload brings a new one. */
function indexOf(rules: readonly OriginRule[]): RuleIndex {
  const known = indexes.get(rules);
  if (known) return known;
  const starts = new Map<string, number>();
  const exact = new Map<string, number>();
  for (const [index, { location, isStrict }] of rules.entries()) {
    const same = isStrict ? exact : starts;
    if (!same.has(location)) same.set(location, index);
  }
  const lengths = [...new Set(Array.from(starts.keys(), ({ length }) => length))].sort((a, b) => a - b);
  const made = { starts, exact, lengths };
  indexes.set(rules, made);
  return made;
}
