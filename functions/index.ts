import type { Hono } from "hono";
import { importSigningKey } from "#cluster/ticket/signing-key.ts";
import { createRouter } from "./app.ts";
import { withCors } from "./cors.ts";
import type { RouterTypes } from "./desk.ts";
import type { RouterEnv } from "./env.ts";
import { problemResponse } from "./http-errors.ts";
import { PlayerSignallingObject } from "./signalling/player-signalling.ts";
import bundledServerXml from "./Server.xml";
import { objectSockets, workerdSockets } from "./sockets.ts";
import { edgeCache } from "./stores/edge-cache.ts";
import { noStore, UpstashReader } from "./stores/upstash.ts";
import { openVhosts } from "./vhosts.ts";

/** Made by an isolate's first request, because only requests bring the environment. */
let router: Hono<RouterTypes> | undefined;

const routerOf = async (env: RouterEnv): Promise<Hono<RouterTypes>> => (router ??= await open(env));

/** `durable_objects` in wrangler.jsonc; see `PlayerSignallingObject`. */
export class PlayerSignalling extends PlayerSignallingObject {
  constructor(state: DurableObjectState, env: RouterEnv) {
    super(env, { router: routerOf, ...objectSockets(state) });
  }
}

export default {
  async fetch(request: Request, env: RouterEnv, context: ExecutionContext): Promise<Response> {
    try {
      router = await routerOf(env);
    } catch (thrown) {
      const sentence = `The router's settings are wrong: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      console.error(sentence);
      return withCors(request, problemResponse({ status: 500, code: "settings", sentence }));
    }
    return router.fetch(request, env, context);
  },
};

async function open(env: RouterEnv): Promise<Hono<RouterTypes>> {
  const { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = env;
  return createRouter({
    env,
    reader: url && token ? new UpstashReader(url, token) : noStore,
    vhosts: openVhosts(env.SERVER_XML ?? bundledServerXml, textsOf(env)),
    key: secret ? await importSigningKey(secret) : undefined,
    nowMs: () => Date.now(),
    fetch: (target, init) => fetch(target, init),
    cache: edgeCache(caches.default),
    sockets: workerdSockets,
    log: (line) => console.log(JSON.stringify({ time: new Date().toISOString(), level: "info", ...line })),
  });
}

/** The environment's texts: bindings of other kinds have no place in a Server.xml. */
function textsOf(env: RouterEnv): Record<string, string> {
  const isText = (entry: [string, unknown]): entry is [string, string] => typeof entry[1] === "string";
  return Object.fromEntries(Object.entries(env).filter(isText));
}
