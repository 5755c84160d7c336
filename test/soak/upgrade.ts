// Does anybody who watches notice an upgrade from an older version, and the way back? `npm run soak -- upgrade COMMIT`: two origins
// and two edges of that commit, replaced by this version and put back one node at a time (docs/upgrade.md) under viewers who are
// routed by routers of both versions. Needs the repository's history.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeProcess } from "../../infra/laptop/node-process.ts";
import { startBridge } from "../../media-node/stores/bridge.ts";
import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { repository } from "../support/command.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

const commit = process.argv[2];
if (commit === undefined) {
  console.error("Which version is the older one? npm run soak -- upgrade COMMIT [VIEWERS]");
  process.exit(1);
}
const viewersOfEachKind = Number(process.argv[3] ?? 4);
/** WebRTC viewers of an edge that goes; when an origin goes, another takes its streams over. */
const maxEdgeGapMs = 1_000;
const maxOriginGapMs = 2_500;
/** LL-HLS players hold about this much. */
const maxHlsGapMs = 2_500;
const drainMs = 40_000;

type Version = "old" | "new";
const scratch = mkdtempSync(join(tmpdir(), "hearth-upgrade-"));
const closing: (() => Promise<unknown> | void)[] = [() => rmSync(scratch, { recursive: true, force: true })];
const roots: Record<Version, string> = { old: scratch, new: repository };

/** One place in the cluster, where one version's node runs at a time. */
class Place {
  readonly id: string;
  readonly #env: Readonly<Record<string, string>>;
  #node: NodeProcess | undefined;

  constructor(id: string, env: Readonly<Record<string, string>>) {
    this.id = id;
    this.#env = env;
  }

  async run(version: Version): Promise<void> {
    const root = roots[version];
    const module = (await import(join(root, "infra/laptop/node-process.ts"))) as {
      NodeProcess: typeof NodeProcess;
    };
    const config = this.id.startsWith("origin") ? "origin.xml" : "edge.xml";
    const configPath = join(root, "infra/laptop", config);
    this.#node = new module.NodeProcess({ id: this.id, configPath, env: this.#env, onLog: () => {} });
    await this.#node.start();
  }

  /** As `systemctl stop`: returns when its viewers have moved. */
  async drain(): Promise<void> {
    assert.equal(await this.#node?.stop("SIGTERM", drainMs), 0, `${this.id} ended by itself`);
  }

  async close(): Promise<void> {
    await this.#node?.stop();
  }
}

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

async function startRouterOf(version: Version, vars: Readonly<Record<string, string>>): Promise<string> {
  const module = (await import(join(roots[version], "infra/laptop/worker.ts"))) as {
    startRouter: (options: object) => Promise<{ url: string; close(): Promise<void> }>;
  };
  const router = await module.startRouter({ port: 0, vars, log: () => {} });
  closing.unshift(() => router.close());
  return router.url;
}

/** Somebody new comes by each router and sees a picture. */
async function everyRouterServes(urls: readonly string[]): Promise<void> {
  const newcomers = urls.flatMap((url) => [
    new WhepViewer(`${url}/app/stream/whep`),
    new HlsViewer(`${url}/app/stream/llhls.m3u8`),
  ]);
  await until("newcomers watch", 20_000, () => newcomers.every(({ node }) => node !== undefined));
  await Promise.all(newcomers.map((viewer) => viewer.close()));
}

try {
  execFileSync("sh", ["-c", 'git archive "$1" | tar -x -C "$2"', "sh", commit, scratch], { cwd: repository });
  symlinkSync(join(repository, "node_modules"), join(scratch, "node_modules"));
  const redis = await startEmbeddedRedis({ port: 0 });
  const token = randomBytes(24).toString("base64url");
  const bridge = await startBridge({ port: 0, redisUrl: redis.url, token });
  closing.unshift(async () => (await bridge.close(), await redis.close()));
  const HEARTH_SECRET = randomBytes(24).toString("base64url");
  const shared = {
    HEARTH_SECRET,
    REDIS_URL: redis.url,
    HEARTH_SOURCE_SCHEME: "file",
    HEARTH_SOURCE_URL: join(repository, "infra/laptop/loop.mp4"),
  };
  const places = await Promise.all(
    ["origin-1", "origin-2", "edge-1", "edge-2"].map(async (id) => {
      const port = await freePort();
      const own: Record<string, string> = id.startsWith("origin")
        ? { HEARTH_OVT_PORT: port }
        : { HEARTH_HTTP_PORT: port, HEARTH_PUBLIC_URL: `http://127.0.0.1:${port}` };
      return new Place(id, { ...shared, ...own });
    }),
  );
  closing.unshift(async () => void (await Promise.all(places.map((place) => place.close()))));
  for (const place of places) await place.run("old");
  const vars = { HEARTH_SECRET, UPSTASH_REDIS_REST_URL: bridge.url, UPSTASH_REDIS_REST_TOKEN: token };
  const routers = [await startRouterOf("old", vars), await startRouterOf("new", vars)];
  await everyRouterServes(routers);

  const whep: WhepViewer[] = [];
  const hls: HlsViewer[] = [];
  for (let index = 0; index < viewersOfEachKind; index++) {
    const stream = `${routers[index % 2]}/app/stream`;
    whep.push(new WhepViewer(`${stream}/whep`));
    hls.push(new HlsViewer(`${stream}/llhls.m3u8?steering=1`));
  }
  closing.unshift(async () => void (await Promise.all([...whep, ...hls].map((viewer) => viewer.close()))));
  await until("everybody watches", 30_000, () => [...whep, ...hls].every(({ node }) => node !== undefined));

  const worst = (viewers: readonly { longestGapMs: number }[]): number =>
    Math.round(Math.max(...viewers.map(({ longestGapMs }) => longestGapMs)));
  // Edges first, then origins; back in the other order.
  const upwards = [places[2]!, places[3]!, places[0]!, places[1]!].map((place) => ({ place, to: "new" as Version }));
  const back = upwards.toReversed().map(({ place }) => ({ place, to: "old" as Version }));
  const tooLong: string[] = [];
  for (const { place, to } of [...upwards, ...back]) {
    for (const viewer of [...whep, ...hls]) viewer.longestGapMs = 0;
    const startMs = performance.now();
    await place.drain();
    await place.run(to);
    await everyRouterServes(routers);
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    const gaps = `longest gap ${worst(whep)} ms WHEP, ${worst(hls)} ms LL-HLS`;
    console.log(`${place.id} is ${to} after ${seconds} s: ${gaps}`);
    const maxWhepGapMs = place.id.startsWith("edge") ? maxEdgeGapMs : maxOriginGapMs;
    if (worst(whep) > maxWhepGapMs || worst(hls) > maxHlsGapMs) tooLong.push(`${place.id} ${to}: ${gaps}`);
  }
  const failures = [...whep, ...hls].flatMap((viewer) => viewer.failures);
  const skips = hls.flatMap((viewer) => viewer.skips);
  const requests = hls.reduce((sum, viewer) => sum + viewer.requests, 0);
  console.log(
    `upgrade: ${whep.length + hls.length} viewers, ${requests} requests, ${failures.length} failed, ${skips.length} stalls`,
  );
  assert.deepEqual([...failures, ...skips, ...tooLong], []);
} finally {
  for (const close of closing) await close();
}
