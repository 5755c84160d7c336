import { chooseVhost } from "../cluster/origin-map/choose-vhost.ts";
import type { VhostValue } from "./build-config.ts";
import type { LintInput } from "./lint.ts";
import type { VhostConfig } from "./server-config.ts";

/** The OriginMapStore: origins that announce nothing or the wrong thing, and edges that cannot pull what they find. */
export function lintStores(input: LintInput): void {
  for (const [index, vhost] of (input.value.VirtualHosts?.VirtualHost ?? []).entries()) {
    if (vhost.OriginMapStore) lintStore(vhost, input.config.vhosts[index]!, input);
  }
}

function lintStore(vhost: VhostValue, config: VhostConfig, { config: server, warn }: LintInput): void {
  const store = vhost.OriginMapStore!;
  const at = store.$.child("OriginHostName");
  const host = config.originMapStore?.originHostName;
  const publishes = config.applications.some(({ publishers }) => publishers.ovt);
  const hasPort = server.bind.ovtPort !== undefined;
  if (host !== undefined) {
    if (/[:/\s]/.test(host) && !/^\[[\da-f:.]+\]$/i.test(host)) {
      warn(
        at,
        "bad-url",
        `"${host}" is not a host.`,
        "Write the bare name or address; the port is that of Bind/Publishers/OVT.",
      );
    } else if (chooseVhost(server, host).kind === "none") {
      const message = `Edges ask for "${host}", and no virtual host here answers to that name.`;
      warn(at, "unreachable-name", message, "Add it to Host/Names.");
    }
    if (!hasPort)
      warn(at, "no-ovt-port", "Streams are announced, but no OVT port is bound.", "Add Bind/Publishers/OVT/Port.");
    if (!publishes) {
      warn(
        at,
        "no-ovt-publisher",
        "No application publishes by OVT, so nothing is announced.",
        "Add <OVT/> to Publishers.",
      );
    }
  } else if (publishes && hasPort) {
    const message = "Streams are published by OVT, but not announced without OriginHostName.";
    warn(at, "not-announced", message, "Add it, or remove <OVT/> from the Publishers of an edge.");
  }
  const canPull = config.applications.some(({ providers }) => providers.length > 0);
  if (host === undefined && !canPull) {
    const message = "No application has a provider, so nothing found in the store can be pulled.";
    warn(store.$, "no-provider", message, "Add <OVT/> to the Providers of an application or of the template *.");
  }
}
