// A cluster grows: a new edge and a new origin are started, and nothing else is touched, told or reloaded.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { NodeProcess } from "../../infra/laptop/node-process.ts";
import { repository } from "../support/command.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { until } from "../support/until.ts";

const laptop = join(repository, "infra/laptop");

test("a new edge takes viewers and a new origin's stream plays, with no change anywhere else", async (t) => {
  const redis = await startRedisServer();
  t.after(() => redis.close());
  const secret = "the secret of a growing cluster";
  const cluster = await startLaptopCluster({ routerPort: 0, edges: 1, redisUrl: redis.url, secret });
  t.after(() => cluster.close());
  const folder = await mkdtemp(join(tmpdir(), "hearth-growing-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const newNode = (id: string, configPath: string, env: Record<string, string> = {}): NodeProcess => {
    const node = new NodeProcess({
      id,
      configPath,
      env: { REDIS_URL: redis.url, HEARTH_SECRET: secret, ...env },
      onLog: () => {},
    });
    t.after(() => node.stop("SIGKILL"));
    return node;
  };
  /** Where the router sends a player of `stream`, and what the player finds there. */
  const play = async (stream: string): Promise<{ origin: string; status: number }> => {
    const answer = await fetch(`${cluster.url}/app/${stream}/llhls.m3u8`);
    await answer.arrayBuffer();
    return { origin: new URL(answer.url).origin, status: answer.status };
  };

  const [oldId, { url: old }] = [...cluster.ready].find(([id]) => id.startsWith("edge-1"))!;
  assert.deepEqual(await play("stream"), { origin: old, status: 200 });

  const edge = newNode("edge-new", join(laptop, "edge.xml"));
  const { url: added } = await edge.start();
  await until("the router sees the new edge", 10_000, async () => {
    const { nodes } = (await (await fetch(`${cluster.url}/-/cluster`)).json()) as { nodes: { id: string }[] };
    return nodes.some(({ id }) => id === "edge-new");
  });
  // It drains, so that no player is sent to a door that is closed while the router still remembers it.
  await cluster.nodes.get(oldId)!.stop("SIGTERM", 20_000);
  await until("viewers are sent to it", 10_000, async () => (await play("stream")).origin === added);
  assert.equal((await play("stream")).status, 200);

  const config = join(folder, "origin.xml");
  const text = await readFile(join(laptop, "origin.xml"), "utf8");
  await writeFile(config, text.replaceAll("app/stream", "app/second"));
  assert.equal((await play("second")).status, 404);
  const clip = { HEARTH_SOURCE_SCHEME: "file", HEARTH_SOURCE_URL: join(laptop, "loop.mp4") };
  await newNode("origin-new", config, clip).start();
  await until("its stream plays through the new edge", 15_000, async () => {
    const { origin, status } = await play("second");
    return origin === added && status === 200;
  });
});
