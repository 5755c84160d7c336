import { hostname } from "node:os";
import { listenForViewers, type HttpServer } from "./api/http-server.ts";
import { chooseVhost } from "./cluster/origin-map/choose-vhost.ts";
import { splitPath } from "./cluster/origin-map/split-path.ts";
import type { Delivery } from "./deliveries.ts";
import type { NodeContext } from "./node-context.ts";

/** What viewers reach: the public URL, and what went out by HTTP. */
export interface ViewerDoors {
  /** Undefined for a node that only publishes. */
  readonly url: string | undefined;
  readonly bytesSent: () => number;
}

/**
 * Opens one HTTP server a port; guests with the same port share it, as in OvenMediaEngine.
 * @throws {SettingError} when a port cannot be had
 */
export async function openViewerDoors(
  context: NodeContext,
  deliveries: readonly Delivery[],
  isReady: () => boolean,
): Promise<ViewerDoors> {
  const { config, live, logger, address, group } = context;
  const servers: HttpServer[] = [];
  let url: string | undefined;
  for (const port of new Set(deliveries.map((delivery) => delivery.port))) {
    const server = await listenForViewers({
      port,
      ...(address !== undefined && { address }),
      guests: deliveries.filter((delivery) => delivery.port === port).map(({ guest }) => guest),
      resolve: (host, path) => {
        const choice = chooseVhost(live.now, host);
        return choice.kind === "vhost" ? { vhost: choice.vhost.name, ...splitPath(path) } : undefined;
      },
      scheme: config.hearth.publicUrl?.startsWith("https:") ? "https" : "http",
      isReady,
      logger,
      portSetting: "Bind/Publishers/{LLHLS,WebRTC} in Server.xml",
    });
    group.add(() => server.close());
    servers.push(server);
    url ??= publicUrl(context, port, server.port);
  }
  return { url, bytesSent: () => servers.reduce((sum, server) => sum + server.bytesSent, 0) };
}

/** As configured; a port that was chosen here is added, since nobody could have written it down. */
function publicUrl({ config, logger, address }: NodeContext, configured: number, actual: number): string {
  const given = config.hearth.publicUrl;
  if (given !== undefined) return configured === 0 ? `${given}:${actual}` : given;
  const guess = `http://${config.hearth.advertisedAddresses[0] ?? address ?? hostname()}:${actual}`;
  logger.warn("public address guessed", { url: guess, remedy: "set Hearth/Node/PublicUrl in Server.xml" });
  return guess;
}
