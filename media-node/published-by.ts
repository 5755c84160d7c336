import type { PublishersConfig, ServerConfig } from "./config/server-config.ts";
import type { HttpGuest, ViewerTarget } from "./core/guest.ts";
import { applicationFor } from "./pull-planner.ts";

/** Shows `guest` only requests for applications that have its publisher in Server.xml. */
export function publishedBy(config: ServerConfig, publisher: keyof PublishersConfig, guest: HttpGuest): HttpGuest {
  const isPublished = ({ vhost, app }: ViewerTarget): boolean => {
    const settings = config.vhosts.find(({ name }) => name === vhost);
    return Boolean(settings && applicationFor(settings, app)?.publishers[publisher]);
  };
  return {
    handle: (request, response, target) => isPublished(target) && (guest.handle?.(request, response, target) ?? false),
    upgrade: (request, socket, head, target) =>
      isPublished(target) && (guest.upgrade?.(request, socket, head, target) ?? false),
  };
}
