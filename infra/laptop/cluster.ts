import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { startBridge } from "../../media-node/stores/bridge.ts";
import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { CloseGroup } from "../../media-node/flow/close-group.ts";
import { messageOf, SettingError } from "../../media-node/flow/errors.ts";
import { silentLogger, withoutSecrets } from "../../media-node/flow/logger.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { listenForCommands } from "./control-server.ts";
import { NodeProcess } from "./node-process.ts";
import { bringPlayers, pageFolder } from "./page-files.ts";
import { startRouter } from "./worker.ts";

export interface LaptopOptions {
  /** 0 = any free port. */
  readonly routerPort: number;
  /** A live source to play instead of the looping clip. */
  readonly sourceUrl?: string | undefined;
  /** A Redis to use instead of the embedded one: `redis://…`, `rediss://…`. */
  readonly redisUrl?: string | undefined;
  /** Signs tickets and node records; made up when absent. */
  readonly secret?: string | undefined;
  /** How many edges; two unless given. */
  readonly edges?: number;
  /** Log lines of the nodes, and of the `router`. */
  readonly onLog?: (node: string, line: string) => void;
  /** Further settings for every node. */
  readonly nodeEnv?: Readonly<Record<string, string>>;
  /** Of the nodes' runtime, instead of those that keep a laptop's cluster small. */
  readonly nodeFlags?: readonly string[];
}

export interface LaptopCluster {
  /** The router: `http://127.0.0.1:8787`. */
  readonly url: string;
  readonly nodes: ReadonlyMap<string, NodeProcess>;
  /** What each node said when it was first ready. */
  readonly ready: ReadonlyMap<string, ReadyMessage>;
  /** Resolves with a sentence when the router ends by itself; nothing works without it. */
  readonly failed: Promise<string>;
  /** Ends every process and closes every port. */
  close(): Promise<void>;
}

export type ReadyMessage = Awaited<ReturnType<NodeProcess["start"]>>;

const here = import.meta.dirname;
const clipPath = join(here, "loop.mp4");
/** A Redis on the same continent connects and answers within this time. */
const redisTimeoutMs = 3_000;
/** How long the first picture may take to come from the source. */
const sourceTimeoutMs = 15_000;

/**
 * Router, store, one origin and two edges (or as many as asked) on this machine, playing `app/stream`. Resolves when the stream is playable.
 * @throws {SettingError} with a sentence and a remedy when it cannot be
 */
export async function startLaptopCluster(options: LaptopOptions): Promise<LaptopCluster> {
  const group = new CloseGroup();
  try {
    return await start(options, group);
  } catch (thrown) {
    await group.close({ code: "not-started" }).catch(() => {});
    throw thrown;
  }
}

async function start(options: LaptopOptions, group: CloseGroup): Promise<LaptopCluster> {
  const secret = options.secret ?? randomBytes(24).toString("base64url");
  const redisUrl = options.redisUrl ?? (await startStore(group));
  if (options.redisUrl !== undefined) await expectRedis(options.redisUrl);
  const token = randomBytes(24).toString("base64url");
  const bridge = await startBridge({ port: 0, redisUrl, token });
  group.add(() => bridge.close());

  const source = sourceOf(options.sourceUrl);
  const sourceIsLive = Promise.withResolvers<void>();
  sourceIsLive.promise.catch(() => {});
  const nodes = makeNodes({ ...options.nodeEnv, ...source, REDIS_URL: redisUrl, HEARTH_SECRET: secret }, options, {
    live: () => sourceIsLive.resolve(),
    failed: (reason) => sourceIsLive.reject(sourceError(options.sourceUrl, reason)),
  });
  group.add(async () => void (await Promise.all([...nodes.values()].map((node) => node.stop()))));

  const control = await listenForCommands(randomBytes(12).toString("hex"), async (verb, id) => {
    const node = nodes.get(id);
    if (!node) throw new Error(`there is no node "${id}"`);
    if (verb === "stop") await node.stop();
    else await node.start();
  });
  group.add(() => control.close());

  await bringPlayers();
  const startingRouter = startRouter({
    port: options.routerPort,
    vars: {
      HEARTH_SECRET: secret,
      UPSTASH_REDIS_REST_URL: bridge.url,
      UPSTASH_REDIS_REST_TOKEN: token,
      LAPTOP_CONTROL_URL: control.url,
      HEARTH_LOG_VIEWERS: "all",
    },
    assetsDir: pageFolder,
    // Its decisions are lines of JSON, as nodes write them; whatever else workerd says is for who started it.
    log: (line) => (line.startsWith("{") ? options.onLog?.("router", `${line}\n`) : process.stderr.write(`${line}\n`)),
  }).then((router) => {
    group.add(() => router.close());
    return router;
  });
  const [router, ...ready] = await settleAll([
    startingRouter,
    ...[...nodes.values()].map((node) => node.start()),
  ] as const);
  await withDeadline(sourceIsLive.promise, sourceTimeoutMs, () =>
    sourceError(options.sourceUrl, "no picture came in time"),
  );
  await untilRouted(router.url);
  return {
    url: router.url,
    nodes,
    ready: new Map(ready.map((message) => [message.id, message])),
    failed: router.exited.then((code) => `The router ended by itself with code ${code}: run npm start again.`),
    close: () => group.close({ code: "shutdown" }),
  };
}

async function startStore(group: CloseGroup): Promise<string> {
  const store = await startEmbeddedRedis({ port: 0 });
  group.add(() => store.close());
  return store.url;
}

/** @throws {SettingError} when the Redis that was asked for does not answer */
async function expectRedis(url: string): Promise<void> {
  const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: redisTimeoutMs });
  try {
    await store.lookup({ vhost: "default", app: "app", stream: "stream" });
  } catch (cause) {
    const sentence = `The Redis of REDIS_URL (${withoutSecrets(url)}) does not answer: ${messageOf(cause)}.`;
    throw new SettingError(`${sentence} Start it, correct the URL, or leave REDIS_URL away.`, { cause });
  } finally {
    await store.close();
  }
}

function makeNodes(
  env: Readonly<Record<string, string>>,
  { onLog, redisUrl, edges = 2, nodeFlags }: LaptopOptions,
  source: { live: () => void; failed: (reason: string) => void },
): Map<string, NodeProcess> {
  // In a shared Redis there may be another laptop's nodes.
  const suffix = redisUrl === undefined ? "" : `-${randomBytes(2).toString("hex")}`;
  const node = (name: string, config: string, id = `${name}${suffix}`): [string, NodeProcess] => [
    id,
    new NodeProcess({
      id,
      configPath: join(here, config),
      env,
      ...(nodeFlags && { flags: nodeFlags }),
      onLog: (line) => onLog?.(id, line),
      onMessage: (message) => {
        if (message.type !== "prewarm") return;
        if (message.isLive) source.live();
        else source.failed(message.reason);
      },
    }),
  ];
  const names = Array.from({ length: edges }, (_, index) => `edge-${index + 1}`);
  return new Map([node("origin-1", "origin.xml"), ...names.map((name) => node(name, "edge.xml"))]);
}

/** The rule of origin.xml that says where the stream comes from, as environment. */
function sourceOf(url: string | undefined): { HEARTH_SOURCE_SCHEME: string; HEARTH_SOURCE_URL: string } {
  if (url === undefined) return { HEARTH_SOURCE_SCHEME: "file", HEARTH_SOURCE_URL: clipPath };
  const match = /^(rtsp|ovt):\/\/(.+)$/i.exec(url);
  if (!match)
    throw new SettingError(`"${url}" is no source: give a URL such as rtsp://camera/path, or nothing for the clip.`);
  return { HEARTH_SOURCE_SCHEME: match[1]!.toLowerCase(), HEARTH_SOURCE_URL: match[2]! };
}

function sourceError(url: string | undefined, reason: string): SettingError {
  const shown = url?.replace(/\/\/[^/@]*@/, "//") ?? clipPath;
  return new SettingError(
    `Cannot pull ${shown}: ${reason}. Check the address, and that the source is running and reachable.`,
  );
}

/** The registry holds the stream and an edge takes viewers. Asks the router only: no edge pulls before the first viewer. */
async function untilRouted(url: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  let last = "";
  while (performance.now() < deadlineMs) {
    const answer = await fetch(`${url}/-/resolve/app/stream?protocol=llhls`).catch((error: Error) => error);
    if (answer instanceof Response && answer.ok) {
      await answer.body?.cancel();
      return;
    }
    last = answer instanceof Response ? await answer.text() : answer.message;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  throw new Error(`the router does not find the stream: ${last}`);
}

/** As `Promise.all`, but waits for all to settle, so that nothing is still starting when a failure is cleaned up. */
async function settleAll<T extends readonly Promise<unknown>[]>(
  promises: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

async function withDeadline<T>(promise: Promise<T>, ms: number, error: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(error()), ms);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}
