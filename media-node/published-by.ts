import type { PublishersConfig, ServerConfig } from "./config/server-config.ts";
import type { HttpGuest } from "./core/guest.ts";
import type { Stream } from "./core/stream.ts";
import type { StreamName } from "./core/stream-name.ts";
import { applicationFor } from "./pull-planner.ts";

export interface PublishedByOptions<P extends keyof PublishersConfig, G extends HttpGuest> {
  /** The configuration in force. */
  readonly configNow: () => ServerConfig;
  readonly publisher: P;
  /** The guest for an application's settings; called for requests whose stream has none yet. */
  readonly guestOf: (settings: NonNullable<PublishersConfig[P]>) => G | undefined;
  /** The stream if it is live. */
  readonly findStream: (name: StreamName) => Stream | undefined;
}

/**
 * Shows requests only to the guest of their application's publisher; applications without it have none. A stream keeps
 * the guest it began with for as long as it is live: new settings change nothing under those who watch.
 */
export function publishedBy<P extends keyof PublishersConfig, G extends HttpGuest>(
  options: PublishedByOptions<P, G>,
): HttpGuest & {
  /** The guest for a stream's viewers. */
  readonly guestFor: (name: StreamName) => G | undefined;
} {
  const { configNow, publisher, guestOf, findStream } = options;
  const kept = new WeakMap<Stream, G>();
  const find = (target: StreamName): G | undefined => {
    const host = configNow().vhosts.find(({ name }) => name === target.vhost);
    const settings = host && applicationFor(host, target.app)?.publishers[publisher];
    if (!settings) return undefined;
    const stream = findStream(target);
    const guest = (stream && kept.get(stream)) ?? guestOf(settings);
    if (stream && guest) kept.set(stream, guest);
    return guest;
  };
  return {
    guestFor: find,
    serve: (exchange, target) => find(target)?.serve?.(exchange, target) ?? false,
    handle: (request, response, target) => find(target)?.handle?.(request, response, target) ?? false,
    upgrade: (request, socket, head, target) => find(target)?.upgrade?.(request, socket, head, target) ?? false,
  };
}

/** Makes a thing once for all settings that say the same, when it is first wanted. */
export function oncePerSetting<S, T>(make: (settings: S) => T): (settings: S) => T {
  const made = new Map<string, T>();
  return (settings) => {
    const key = JSON.stringify(settings);
    const known = made.get(key);
    if (known !== undefined) return known;
    const thing = make(settings);
    made.set(key, thing);
    return thing;
  };
}
