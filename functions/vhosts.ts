import type { ClusterStreamName } from "#cluster/store/contract.ts";
import { chooseVhost } from "#cluster/origin-map/choose-vhost.ts";
import { matchRule } from "#cluster/origin-map/match-rule.ts";
import type { SignedPolicySettings } from "#cluster/ticket/signed-policy.ts";
import type { ViewerProtocol } from "#cluster/ticket/ticket.ts";
import { parseServerXml } from "#config/parse-server-xml.ts";

/** What the router knows of the cluster's configuration. */
export interface Vhosts {
  /** Virtual host that a request's host (without port) belongs to; `undefined` when none does. */
  vhostOf(host: string): string | undefined;
  /** The local rule that can pull the stream, in words for an operator; `undefined` when none can. */
  ruleFor(name: ClusterStreamName): string | undefined;
  /** The signed policy that viewers by this protocol need; `undefined` where anybody may watch. */
  policyFor(vhost: string, protocol: ViewerProtocol): SignedPolicySettings | undefined;
}

/** One virtual host for every name, and no rules: the store alone says which streams exist. */
export const singleVhost: Vhosts = {
  vhostOf: () => "default",
  ruleFor: () => undefined,
  policyFor: () => undefined,
};

/** What an edge's file takes from its machine and the router has no use for. */
const ofMachine = { HEARTH_NODE_ID: "router" } as const;

/**
 * Reads the edges' Server.xml; an empty text means there is none.
 * @param env what `${env:…}` in it stands for
 * @throws {Error} with line and remedy of the first mistake
 */
export function openVhosts(serverXml: string, env: Readonly<Record<string, string>>): Vhosts {
  if (serverXml.trim() === "") return singleVhost;
  const { config, problems } = parseServerXml(serverXml, { path: "Server.xml", env: { ...ofMachine, ...env } });
  if (!config) {
    const mistake = problems.find(({ severity }) => severity === "error");
    throw new Error(`Server.xml, line ${mistake?.line}: ${mistake?.message} ${mistake?.remedy}`);
  }
  const mode = config.hearth.locationMatching;
  const vhostNamed = (name: string) => config.vhosts.find((candidate) => candidate.name === name);
  return {
    vhostOf(host) {
      const choice = chooseVhost(config, host);
      return choice.kind === "vhost" ? choice.vhost.name : undefined;
    },
    ruleFor({ vhost: name, app, stream }) {
      const vhost = vhostNamed(name);
      const match = vhost && matchRule(vhost, app, stream, mode);
      return match?.kind === "rule"
        ? `rule ${match.index + 1} of virtual host ${name} (${match.rule.location})`
        : undefined;
    },
    policyFor(vhost, protocol) {
      const policy = vhostNamed(vhost)?.signedPolicy;
      return policy?.publishers.includes(protocol === "llhls" ? "llhls" : "webrtc") ? policy : undefined;
    },
  };
}
