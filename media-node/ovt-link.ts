import type { OvtLinkConfig } from "./config/server-config.ts";
import { SettingError } from "./flow/errors.ts";
import type { OvtPublisherOptions } from "./ovt/ovt-publisher.ts";

/**
 * Who may pull from this node by OVT: everybody, unless Server.xml asks for tokens or has the element `<OvtLink>` on a node
 * with a secret. The secret alone changes nothing, so that OvenMediaEngine edges go on pulling when viewers' tickets are
 * introduced.
 * @throws {SettingError} when tokens are asked for and there is no secret that could sign them
 */
export function ovtLinkSecurity(
  link: OvtLinkConfig | undefined,
  secret: string | undefined,
): Required<Pick<OvtPublisherOptions, "secrets" | "trustedPeers">> {
  const isRequired = link !== undefined && (link.requireToken ?? secret !== undefined);
  if (!isRequired) return { secrets: [], trustedPeers: [] };
  if (secret !== undefined) return { secrets: [secret], trustedPeers: link.trustedPeers };
  throw new SettingError("Hearth/OvtLink/RequireToken in Server.xml needs HEARTH_SECRET, which signs the tokens");
}
