import { matchHost } from "../cluster/origin-map/choose-vhost.ts";
import { nameProblem } from "../cluster/origin-map/split-path.ts";
import type { VhostValue } from "./build-config.ts";
import type { LintInput } from "./lint.ts";
import type { Place } from "./schema.ts";

/** Names of virtual hosts, hosts and applications: given twice, hidden by others, or never asked for. */
export function lintNames(input: LintInput): void {
  const { value, config, fail } = input;
  const vhosts = value.VirtualHosts?.VirtualHost ?? [];
  const seen = new Set<string>();
  const earlier: { readonly pattern: string; readonly vhost: string }[] = [];
  for (const [index, vhost] of vhosts.entries()) {
    if (seen.has(vhost.Name)) {
      fail(
        vhost.$.child("Name"),
        "name-given-twice",
        `The virtual host "${vhost.Name}" is given twice.`,
        "Rename one.",
      );
    }
    seen.add(vhost.Name);
    lintHostNames(vhost, earlier, input);
    earlier.push(...config.vhosts[index]!.hostNames.slice(0, 64).map((pattern) => ({ pattern, vhost: vhost.Name })));
    lintApplications(vhost, input);
  }
}

function lintHostNames(
  vhost: VhostValue,
  earlier: readonly { readonly pattern: string; readonly vhost: string }[],
  { warn }: LintInput,
): void {
  const names = vhost.Host?.Names?.Name ?? [];
  if (names.length === 0 && vhost.$.has("Name")) {
    const message = `No host name leads to "${vhost.Name}": viewers cannot reach it.`;
    warn(vhost.$, "unreachable-vhost", message, "Add Host/Names/Name; * stands for every name.");
  }
  for (const [index, name] of names.entries()) {
    const at = vhost.Host!.Names!.$.item("Name", index);
    const problem = hostPatternProblem(name);
    if (problem !== undefined)
      warn(at, "unreachable-name", `"${name}" matches no host: ${problem}.`, "Write the bare name.");
    const hiding = earlier.slice(0, 1_000).find(({ pattern }) => isHidden(name, pattern));
    if (!hiding) continue;
    const message = `"${name}" is never asked: "${hiding.pattern}" of the earlier virtual host "${hiding.vhost}" takes it.`;
    warn(at, "unreachable-name", message, "Put the more specific virtual host first.");
  }
}

function hostPatternProblem(name: string): string | undefined {
  if (name.trim() === "") return "it is empty";
  if (name !== name.trim()) return "blanks belong to it";
  if (name.includes("/")) return "it is a URL";
  if (name.includes(":") && !name.startsWith("[")) return "the port takes no part";
  return name.split("(").length === name.split(")").length ? undefined : "its parentheses do not pair";
}

/** Whether everything `name` matches is matched by `pattern`, as far as it can be told cheaply. */
function isHidden(name: string, pattern: string): boolean {
  if (pattern === "*") return true;
  const [wanted, earlier] = [name.toLowerCase(), pattern.toLowerCase()];
  // A name with wildcards of its own is hidden at least by a pattern that takes those characters literally.
  return wanted === earlier || (!/[?()]/.test(wanted) && matchHost(earlier, wanted) && !wanted.includes("*"));
}

function lintApplications(vhost: VhostValue, { warn, fail }: LintInput): void {
  const applications = vhost.Applications?.Application ?? [];
  const seen = new Set<string>();
  for (const { Name: name, $ } of applications) {
    const at: Place = $.child("Name");
    if (name === "*" && seen.has(name)) {
      warn(at, "template-given-twice", "There are several templates; the last one counts.", "Keep one of them.");
    } else if (seen.has(name)) {
      fail(at, "name-given-twice", `The application "${name}" is given twice.`, "Rename one.");
    }
    seen.add(name);
    const problem = name === "*" ? undefined : nameProblem("app", name);
    if (problem !== undefined) warn(at, "unreachable-application", `No request leads here: ${problem}.`, "Rename it.");
  }
}
