/** What one workerd process serves: the router, the page's files, and the way out. */
export interface WorkerdPlan {
  /** `host:port`; port 0 takes a free one. */
  readonly address: string;
  readonly compatibilityDate: string;
  /** Text bindings of the router. */
  readonly vars: Readonly<Record<string, string>>;
  /** Absolute; without it there is no `ASSETS` binding. */
  readonly assetsDir?: string | undefined;
  /** Whether the router's script has the objects that hold players' signalling; they are kept in memory. */
  readonly hasPlayerObjects: boolean;
  /** `host:port` of what keeps the Cache API's entries; without it workerd has no cache. */
  readonly cacheAddress?: string | undefined;
}

/** Name of the socket in workerd's reports. */
export const socketName = "http";

/**
 * The configuration of workerd (workerd.capnp, `Config`) as text. Beside it lie the bundles `router.js` and `assets.js`.
 * The way out leads to private addresses too: nodes and store of a laptop are there.
 */
export function workerdConfig(plan: WorkerdPlan): string {
  const bindings = Object.entries(plan.vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`);
  if (plan.assetsDir) bindings.push(`(name = "ASSETS", service = "assets")`);
  if (plan.hasPlayerObjects) bindings.push(`(name = "PLAYER_SIGNALLING", durableObjectNamespace = "PlayerSignalling")`);
  const objects = plan.hasPlayerObjects
    ? `
  durableObjectNamespaces = [(className = "PlayerSignalling", uniqueKey = "hearth-player-signalling", enableSql = true)],
  durableObjectStorage = (inMemory = void),`
    : "";
  const assets = plan.assetsDir
    ? `(name = "assets", worker = .assets),
    (name = "page", disk = (path = ${text(plan.assetsDir)}, writable = false)),`
    : "";
  const cache = plan.cacheAddress
    ? `(name = "cache", external = (address = ${text(plan.cacheAddress)}, http = ())),`
    : "";
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "router", worker = .router),
    ${assets}${cache}
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "${socketName}", address = ${text(plan.address)}, http = (), service = "router")],
);

const router :Workerd.Worker = (
  modules = [(name = "router.js", esModule = embed "router.js")],
  compatibilityDate = ${text(plan.compatibilityDate)},
  bindings = [${bindings.join(", ")}],${objects}${plan.cacheAddress ? '\n  cacheApiOutbound = "cache",' : ""}
);

const assets :Workerd.Worker = (
  modules = [(name = "assets.js", esModule = embed "assets.js")],
  compatibilityDate = ${text(plan.compatibilityDate)},
  bindings = [(name = "DISK", service = "page")],
);
`;
}

/** A Cap'n Proto text literal: printable characters as they are, the others by their bytes. */
function text(value: string): string {
  const escaped = value.replace(/["\\]|[^\x20-\x7e]/gu, (char) =>
    char === '"' || char === "\\"
      ? `\\${char}`
      : [...new TextEncoder().encode(char)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join(""),
  );
  return `"${escaped}"`;
}
