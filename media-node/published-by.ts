import type { PublishersConfig, ServerConfig } from "./config/server-config.ts";
import type { HttpGuest, ViewerTarget } from "./core/guest.ts";
import { applicationFor } from "./pull-planner.ts";

/**
 * Shows requests only to the guest of their application's publisher; applications without it have none.
 * @param guestOf called for every request with the application's settings
 */
export function publishedBy<P extends keyof PublishersConfig>(
  config: ServerConfig,
  publisher: P,
  guestOf: (settings: NonNullable<PublishersConfig[P]>) => HttpGuest | undefined,
): HttpGuest {
  const find = ({ vhost, app }: ViewerTarget): HttpGuest | undefined => {
    const host = config.vhosts.find(({ name }) => name === vhost);
    const settings = host && applicationFor(host, app)?.publishers[publisher];
    return settings ? guestOf(settings) : undefined;
  };
  return {
    handle: (request, response, target) => find(target)?.handle?.(request, response, target) ?? false,
    upgrade: (request, socket, head, target) => find(target)?.upgrade?.(request, socket, head, target) ?? false,
  };
}

/** Makes a thing once for all settings that say the same. */
export function oncePerSetting<S, T>(all: readonly S[], make: (settings: S) => T): (settings: S) => T | undefined {
  const made = new Map<string, T>();
  for (const settings of all) {
    const key = JSON.stringify(settings);
    if (!made.has(key)) made.set(key, make(settings));
  }
  return (settings) => made.get(JSON.stringify(settings));
}
