import { Hono } from "hono";
import { ClusterViewReader } from "#cluster/node-choice/cluster-view.ts";
import type { ClusterReader } from "#cluster/store/contract.ts";
import type { SigningKey } from "#cluster/ticket/signing-key.ts";
import { askedUrl, queryOf, takeUrlApart } from "./asked-url.ts";
import { cors } from "./cors.ts";
import { Decisions } from "./decisions.ts";
import type { Desk, RouterContext, RouterTypes } from "./desk.ts";
import type { RouterEnv } from "./env.ts";
import { badHost, notAllowed, nothingHere, ourFault, problemResponse } from "./http-errors.ts";
import { hostRule } from "./host-rule.ts";
import { cluster } from "./routes/cluster.ts";
import { explain } from "./routes/explain.ts";
import { health } from "./routes/health.ts";
import { laptop } from "./routes/laptop.ts";
import { managedSignalling, type SocketMaker } from "./routes/managed-signalling.ts";
import { play } from "./routes/play.ts";
import { resolve } from "./routes/resolve.ts";
import { signalling } from "./routes/signalling.ts";
import { steer } from "./routes/steer.ts";
import { steeredPlay } from "./routes/steered-play.ts";
import { whep } from "./routes/whep.ts";
import { ClusterMemory } from "./stores/cluster-memory.ts";
import type { ClusterCache } from "./stores/edge-cache.ts";
import { Tickets } from "./tickets.ts";
import { sayTrace, type LogLine } from "./tracing.ts";
import type { Vhosts } from "./vhosts.ts";

/** What `index.ts` builds from the environment, and tests build as they like. */
export interface RouterParts {
  readonly env: RouterEnv;
  readonly reader: ClusterReader;
  readonly vhosts: Vhosts;
  readonly key: SigningKey | undefined;
  /** Unix ms. */
  readonly nowMs: () => number;
  readonly fetch: Desk["fetch"];
  /** Without it signalling is always passed through. */
  readonly sockets?: SocketMaker | undefined;
  /** Where the last snapshot outlives the isolate. */
  readonly cache?: ClusterCache | undefined;
  /** Takes what is decided, a line each; without it nothing is logged. */
  readonly log?: LogLine | undefined;
}

/** The router: decides and answers. Holds one isolate's memory of the cluster, so make it once, not per request. */
export function createRouter(parts: RouterParts): Hono<RouterTypes> {
  const { env, reader, vhosts, key, nowMs, fetch, log = () => {} } = parts;
  const views = new ClusterViewReader(key, hostRule(env.HEARTH_NODE_HOSTS));
  const desk: Desk = {
    env,
    decisions: new Decisions(new ClusterMemory(reader, views, parts.cache), vhosts),
    vhosts,
    key,
    tickets: new Tickets(key),
    nowMs,
    fetch,
    log,
  };
  const app = new Hono<RouterTypes>();
  // First, and so the last to touch an answer.
  app.use(sayTrace);
  app.use(cors);
  app.use((c, next) => {
    const url = takeUrlApart(c.req.url);
    if (!url) return Promise.resolve(problemResponse(badHost));
    c.set("url", url);
    return next();
  });
  app.get("/-/health", health);
  app.get("/-/resolve/*", (c) => resolve(c, desk));
  app.get("/-/explain/*", (c) => explain(c, desk));
  app.get("/-/steer/*", (c) => steer(c, desk));
  app.get("/-/cluster", (c) => cluster(c, desk));
  app.post("/-/laptop/*", (c) => laptop(c, desk));
  app.get("*", (c) => view(c, desk, parts.sockets));
  app.post("*", (c) => publishOrPlay(c, desk));
  app.all("*", (c) => problemResponse(isReserved(c) ? nothingHere : notAllowed("GET, HEAD, POST, OPTIONS")));
  app.onError((thrown) => {
    console.error(thrown);
    return problemResponse(ourFault);
  });
  return app;
}

/** A socket, a playlist, or the page: told apart by the request's shape, as at the node. */
function view(c: RouterContext, desk: Desk, sockets: SocketMaker | undefined): Response | Promise<Response> {
  if (isReserved(c)) return problemResponse(nothingHere);
  if (c.req.header("Upgrade")?.toLowerCase() === "websocket") {
    const isManaged = queryOf(c, "managed") === "1" || desk.env.HEARTH_SIGNALLING === "managed";
    const own = c.env?.playerSockets ?? sockets;
    return isManaged && own ? managedSignalling(c, desk, own) : signalling(c, desk);
  }
  if (/^\/[^/]+\/[^/]+\/[^/]+\.m3u8$/.test(askedUrl(c).path)) {
    return queryOf(c, "steering") === "1" ? steeredPlay(c, desk) : play(c, desk);
  }
  return desk.env.ASSETS ? desk.env.ASSETS.fetch(c.req.raw) : problemResponse(nothingHere);
}

function publishOrPlay(c: RouterContext, desk: Desk): Response | Promise<Response> {
  const isWhep = /^\/[^/]+\/[^/]+\/whep$/.test(askedUrl(c).path) || queryOf(c, "direction") === "whep";
  return isWhep && !isReserved(c) ? whep(c, desk) : problemResponse(nothingHere);
}

const isReserved = (c: RouterContext): boolean => askedUrl(c).path.startsWith("/-/");
