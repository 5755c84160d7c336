import type { ServerConfig } from "./config/server-config.ts";
import { SettingError } from "./flow/errors.ts";
import type { OvtPublisherOptions } from "./ovt/ovt-publisher.ts";

/**
 * Who may pull from this node by OVT: everybody, unless Server.xml asks for tokens or has the element `<OvtLink>` on a node
 * with a secret. The secret alone shuts nobody out, so that OvenMediaEngine edges go on pulling when viewers' tickets are
 * introduced; it lets peers that hold it come by TLS.
 * @throws {SettingError} when Server.xml asks for what needs a secret, and there is none
 */
export function ovtLinkSecurity(
  { hearth, vhosts }: Pick<ServerConfig, "hearth" | "vhosts">,
  secret: string | undefined,
): Required<Pick<OvtPublisherOptions, "secrets" | "requiresToken" | "requiresTls" | "trustedPeers">> {
  const { trustedPeers = [], requireToken, requireTls = false } = hearth.ovtLink ?? {};
  if (secret === undefined) {
    if (requireToken) throw needsSecret("Hearth/OvtLink/RequireToken", "signs the tokens");
    if (requireTls) throw needsSecret("Hearth/OvtLink/RequireTLS", "nodes prove to each other that they hold");
    const isSecure = vhosts.some(({ origins }) => origins.rules.some(({ scheme }) => /^ovts$/i.test(scheme)));
    if (isSecure) throw needsSecret("An Origin with the Scheme ovts", "the origin must hold too");
  }
  return {
    secrets: secret === undefined ? [] : [secret],
    requiresToken: secret !== undefined && hearth.ovtLink !== undefined && (requireToken ?? true),
    requiresTls: requireTls,
    trustedPeers,
  };
}

function needsSecret(what: string, why: string): SettingError {
  return new SettingError(`${what} in Server.xml needs HEARTH_SECRET in the environment, which ${why}`);
}
