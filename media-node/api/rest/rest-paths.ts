/** A path of the API, taken apart: `/v1/vhosts/{vhost}/apps/{app}/streams/{stream}/viewers/{viewer}:action`. */
export interface RestPath {
  /** `version`, `vhosts`, `stats`, `managers` */
  readonly root: string;
  readonly vhost?: string;
  readonly app?: string;
  readonly stream?: string;
  readonly viewer?: string;
  /** Names the last part that was given: `vhosts`, `vhost`, `apps`, `app`, … */
  readonly level: Level;
  /** What follows a colon: `reloadCertificate`. */
  readonly action: string;
}

export type Level =
  "root" | "vhosts" | "vhost" | "apps" | "app" | "streams" | "stream" | "viewers" | "viewer" | "unknown";

const maxLength = 2_048;

/** @returns undefined when the path is none of the API's */
export function parseRestPath(url: string): RestPath | undefined {
  const path = url.split("?", 1)[0]!;
  if (path !== "/v1" && !path.startsWith("/v1/")) return undefined;
  const parts = path.length > maxLength ? undefined : decoded(path.slice(4).replace(/\/$/, ""));
  if (!parts) return { root: "", level: "unknown", action: "" };
  const last = parts.at(-1) ?? "";
  const colon = last.lastIndexOf(":");
  const action = colon < 0 ? "" : last.slice(colon + 1);
  if (colon >= 0) parts[parts.length - 1] = last.slice(0, colon);
  const [root = "", ...rest] = parts;
  // `/stats/current` has the same levels below it, `vhosts` included.
  if (root === "stats") {
    if (rest[0] !== "current") return { root, level: "unknown", action };
    return rest.length === 1 ? { root, level: "root", action } : { ...below(rest.slice(1)), root, action };
  }
  if (root === "vhosts") return { ...below(parts), root, action };
  return { root: parts.join("/"), level: "root", action };
}

function below(parts: readonly string[]): Omit<RestPath, "root" | "action"> {
  const [vhosts, vhost, apps, app, streams, stream, viewers, viewer, ...more] = parts;
  const isKnown =
    vhosts === "vhosts" &&
    [undefined, "apps"].includes(apps) &&
    [undefined, "streams"].includes(streams) &&
    [undefined, "viewers"].includes(viewers) &&
    more.length === 0;
  if (!isKnown) return { level: "unknown" };
  const levels: Level[] = ["vhosts", "vhost", "apps", "app", "streams", "stream", "viewers", "viewer"];
  return {
    level: levels[parts.length - 1] ?? "unknown",
    ...(vhost !== undefined && { vhost }),
    ...(app !== undefined && { app }),
    ...(stream !== undefined && { stream }),
    ...(viewer !== undefined && { viewer }),
  };
}

function decoded(path: string): string[] | undefined {
  try {
    return path.split("/").map((part) => decodeURIComponent(part));
  } catch {
    return undefined;
  }
}
