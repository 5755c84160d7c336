import { nameProblem } from "../cluster/origin-map/split-path.ts";
import type { VhostValue } from "./build-config.ts";
import { findApplication } from "./find-application.ts";
import type { LintInput } from "./lint.ts";
import { providerOf } from "./plan-pull.ts";
import type { Place } from "./schema.ts";
import type { MatchMode, OriginRule, VhostConfig } from "./server-config.ts";

type OriginValue = NonNullable<VhostValue["Origins"]>["Origin"][number];

/** Rules of the OriginMap: what can never match, and what is pulled from a place that was not meant. */
export function lintRules(input: LintInput): void {
  for (const [index, vhost] of (input.value.VirtualHosts?.VirtualHost ?? []).entries()) {
    const config = input.config.vhosts[index]!;
    lintTimes(vhost, input);
    const shadows = new RuleShadows(input.config.hearth.locationMatching);
    for (const [ruleIndex, rule] of config.origins.rules.entries()) {
      const origin = vhost.Origins!.Origin[ruleIndex]!;
      lintLocation(origin, rule, shadows.add(rule, ruleIndex), input);
      lintTarget(origin, rule, config, input);
      for (const [urlIndex, url] of rule.urls.entries()) {
        lintUrl(origin.Pass!.Urls!.$.item("Url", urlIndex), rule, url, input);
      }
    }
  }
}

function lintTimes(vhost: VhostValue, { warn }: LintInput): void {
  const properties = vhost.Origins?.Properties;
  if (!properties) return;
  const names = ["NoInputFailoverTimeout", "UnusedStreamDeletionTimeout", "StreamFailbackTimeout"] as const;
  for (const name of names) {
    const ms = properties[name];
    if (ms >= 100) continue;
    const message = `${ms} milliseconds are hardly meant.`;
    warn(properties.$.child(name), "short-time", message, `Times are in milliseconds: ${ms}000 for ${ms} seconds.`);
  }
}

/** Tells, rule by rule, which earlier rule takes everything a later one could. */
class RuleShadows {
  readonly #mode: MatchMode;
  readonly #starts = new Map<string, number>();
  readonly #exact = new Map<string, number>();

  constructor(mode: MatchMode) {
    this.#mode = mode;
  }

  /** @returns index of the rule that hides `rule` */
  add({ location, isStrict }: OriginRule, index: number): number | undefined {
    const hiding =
      this.#starts.get(location) ?? (isStrict ? this.#exact.get(location) : undefined) ?? this.#byStart(location);
    const same = isStrict ? this.#exact : this.#starts;
    if (!same.has(location)) same.set(location, index);
    return hiding;
  }

  #byStart(location: string): number | undefined {
    for (let length = 0; length < Math.min(location.length, 1_024); length++) {
      const start = location.slice(0, length);
      const index = this.#starts.get(start);
      if (index === undefined) continue;
      if (this.#mode === "prefix" || start === "" || start.endsWith("/") || location[length] === "/") return index;
    }
    return undefined;
  }
}

function lintLocation(origin: OriginValue, rule: OriginRule, hiddenBy: number | undefined, { warn }: LintInput): void {
  const at = origin.$.child("Location");
  const { location } = rule;
  const problem = locationProblem(rule);
  if (problem !== undefined) {
    warn(
      at,
      "rule-never-matches",
      `The rule never matches: ${problem}.`,
      "A request is /app/stream; file and query take no part.",
    );
  } else if (location === "" && !rule.isStrict) {
    warn(at, "empty-location", "An empty Location takes every request.", "Write / if that is meant.");
  }
  if (hiddenBy === undefined) return;
  const message = `The rule is never reached: rule ${hiddenBy + 1} takes everything that begins with "${location}".`;
  warn(at, "rule-never-reached", message, "Put the more specific rule first.");
}

/** Why no `/app/stream` can begin with (or equal) the location. */
function locationProblem({ location, isStrict }: OriginRule): string | undefined {
  if (location !== "" && !location.startsWith("/")) {
    return location.includes("://") || location.includes(".")
      ? "Location holds a host"
      : "Location does not begin with /";
  }
  const [, app, stream, ...rest] = location.split("/");
  if (rest.length > 0) return "Location has more parts than app and stream";
  if (app === "" && stream !== undefined) return "Location names an empty application";
  const strange = [app, stream].find(
    (name) => name !== undefined && name !== "" && nameProblem("app", name) !== undefined,
  );
  if (strange !== undefined) return `no name can hold what "${strange}" holds`;
  if (isStrict && !stream) return "StrictLocation needs both app and stream";
  return undefined;
}

function lintTarget(origin: OriginValue, rule: OriginRule, vhost: VhostConfig, { warn }: LintInput): void {
  if (!origin.Pass) return;
  const at = origin.Pass.$.child("Scheme");
  const scheme = providerOf(rule.scheme);
  if (scheme !== "ovt" && scheme !== "rtsp" && scheme !== "file") {
    const remedy = scheme === "rtspc" ? "Write rtsp." : "Write ovt, ovts, rtsp, rtsps or file.";
    warn(at, "unknown-scheme", `Nothing pulls "${rule.scheme}": requests that match this rule fail.`, remedy);
    return;
  }
  const location = origin.$.child("Location");
  if (vhost.applications.length === 0) {
    const message = "The virtual host has no application to pull into.";
    warn(location, "no-application", message, "Add an Application with the Name *.");
    return;
  }
  const [, app = "", stream] = rule.location.split("/");
  // Without a slash behind it the first part may be the beginning of many names.
  const choice = stream === undefined ? undefined : findApplication(vhost, app);
  if (choice?.kind === "none") {
    const remedy = `Add the Application "${app}", or a template with the Name *.`;
    warn(location, "no-application", `There is no application "${app}" to pull into.`, remedy);
    return;
  }
  const targets = choice ? [choice.application] : vhost.applications;
  if (scheme === "file" || targets.some(({ providers }) => providers.includes(scheme))) return;
  const element = scheme === "ovt" ? "<OVT/>" : "<RTSPPull/>";
  const where = !choice
    ? "no application enables"
    : choice.isDynamic
      ? "the template * does not enable"
      : `"${app}" does not enable`;
  // Applications that a rule makes have all providers here, as OvenMediaEngine's documentation says of its own.
  const isMade = choice ? choice.isDynamic : vhost.applications.some(({ isTemplate }) => isTemplate);
  const what = isMade ? "OvenMediaEngine does not pull this, Hearth does" : "The pull fails";
  warn(at, "no-provider", `${what}: ${where} ${element}.`, `Add ${element} to its Providers.`);
}

function lintUrl(at: Place, rule: OriginRule, url: string, { warn }: LintInput): void {
  const scheme = rule.scheme.toLowerCase();
  if (scheme === "file") {
    if (!url.startsWith("/")) warn(at, "bad-url", `"${url}" is not an absolute path.`, "Begin it with /.");
    return;
  }
  const inside = /^([a-z][a-z\d+.-]*):\/\//i.exec(url)?.[1];
  if (inside !== undefined) {
    const message = `The scheme stands in Url too: "${rule.scheme}://${hidePassword(url)}" cannot be pulled.`;
    warn(at, "scheme-in-url", message, `Remove ${inside}:// from Url.`);
    return;
  }
  const [base = ""] = url.trim().split("?", 1);
  const slash = base.indexOf("/");
  lintAuthority(at, slash < 0 ? base : base.slice(0, slash), scheme, { warn });
  lintSlashes(at, rule, base, slash < 0 ? "" : base.slice(slash), { warn });
}

function lintAuthority(at: Place, authority: string, scheme: string, { warn }: Pick<LintInput, "warn">): void {
  const match = /^(?:.*@)?(\[[\da-f:.]+\]|[^:@[\]]+)(?::(\d{1,5}))?$/i.exec(authority);
  if (!match || Number(match[2] ?? 1) < 1 || Number(match[2] ?? 1) > 65_535) {
    warn(
      at,
      "bad-url",
      `"${hidePassword(authority)}" is not host:port.`,
      "Write host:port/path; IPv6 addresses in brackets.",
    );
  } else if (match[2] === undefined && providerOf(scheme) === "ovt") {
    warn(at, "no-port", "OVT has no default port: the pull fails.", `Write ${match[1]}:9000/….`);
  }
}

function lintSlashes(at: Place, rule: OriginRule, base: string, path: string, { warn }: Pick<LintInput, "warn">): void {
  // A strict rule, and one that names a stream, adds nothing in the ordinary case.
  const [, app, stream] = rule.location.split("/");
  if (rule.isStrict || (app && stream) || rule.location === "") return;
  const endsInSlash = path.endsWith("/");
  if (rule.location.endsWith("/") === endsInSlash) return;
  const asked = rule.location.endsWith("/") ? `${rule.location}${app ? "" : "app/"}s` : `${rule.location}/s`;
  const pulled = `${rule.scheme}://${hidePassword(base)}${asked.slice(rule.location.length)}`;
  const message = `Of ${asked} becomes ${pulled}: Location ${endsInSlash ? "lacks" : "has"} the slash at its end.`;
  warn(at, "slash-mismatch", message, "End both Location and Url with /, or neither.");
}

function hidePassword(url: string): string {
  return url.replace(/^((?:[a-z]+:\/\/)?[^/?#@:]*):[^/?#]*@/i, "$1:***@");
}
