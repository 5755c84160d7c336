// An origin goes on purpose: edges that pull from it go on with the one that stood by, and miss nothing.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { WatchingViewer } from "../test/support/failover-world.ts";
import { until } from "../test/support/until.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode, type RunningNode } from "./node.ts";
import { startEmbeddedRedis } from "./stores/embedded-redis.ts";
import { connectRedisStore } from "./stores/redis-store.ts";
import { systemClock } from "./time/clock.ts";

const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;
const name = { vhost: "default", app: "app", stream: "stream" };
const open: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** A node with the cluster's store, where it has one; without a store's URL there is none. */
async function start(origins: string, { bind = "", redisUrl = "" } = {}): Promise<RunningNode> {
  const store = redisUrl && `<OriginMapStore><OriginHostName>127.0.0.1</OriginHostName></OriginMapStore>`;
  const env = { REDIS_URL: redisUrl };
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>origin</Type><IP>127.0.0.1</IP><Bind><Publishers>${bind}</Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>${store}<Origins>${origins}</Origins>
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers><OVT/><LLHLS/></Publishers>
</Application></Applications></VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env },
  );
  assert.ok(config, JSON.stringify(problems));
  const node = await startNode({ config, env, clock: systemClock, logger: silentLogger });
  open.push(() => node.close({ code: "done" }));
  return node;
}

const rule = (scheme: string, urls: readonly string[], more = ""): string =>
  `<Origin><Location>/app/stream</Location><Pass><Scheme>${scheme}</Scheme><Urls>${urls.map((url) => `<Url>${url}</Url>`).join("")}</Urls></Pass>${more}</Origin>`;

/** Plays the clip from its start on, as every other one does. */
async function startOrigin(redisUrl = ""): Promise<RunningNode> {
  const bind = "<OVT><Port>0</Port></OVT>";
  const origin = await start(rule("file", [clip]), { bind, redisUrl });
  const result = await origin.hub.acquire(name, { protocol: "prewarm" });
  assert.equal(result.kind, "stream");
  return origin;
}

async function watch(edge: RunningNode): Promise<WatchingViewer> {
  const result = await edge.hub.acquire(name, { protocol: "whep" });
  assert.ok(result.kind === "stream", JSON.stringify(result));
  const viewer = new WatchingViewer(result.hold.stream);
  await until("frames", 10_000, () => viewer.frames.length > 10);
  return viewer;
}

/** Drains and ends `origin`; asserts that the viewer's stream came from `other` afterwards, and was whole. */
async function drainUnder(
  viewer: WatchingViewer,
  edge: RunningNode,
  origin: RunningNode,
  other: string,
): Promise<void> {
  assert.equal(await origin.drain(), "everybody-moved");
  await origin.close({ code: "drained" });
  await until("media of the other origin", 10_000, () => {
    const state = edge.hub.list()[0]?.pull?.state;
    return state?.phase === "live" && state.url.includes(other);
  });
  const seen = viewer.frames.length;
  await until("further frames", 10_000, () => viewer.frames.length > seen + 25);
  const { discontinuities, backward, ends } = viewer;
  assert.deepEqual(
    { missing: viewer.missing(), discontinuities, backward, ends },
    { missing: 0, discontinuities: 0, backward: 0, ends: [] },
  );
}

test("edges that know origins by rule go on with the next one when theirs drains", async () => {
  const [first, second] = [await startOrigin(), await startOrigin()];
  const urls = [first, second].map(({ ovtPort }) => `127.0.0.1:${ovtPort}/app/stream`);
  const edge = await start(rule("ovt", urls));
  const viewer = await watch(edge);
  await drainUnder(viewer, edge, first, `:${second.ovtPort}/`);
});

test("edges that know origins by the store go on with the one that stood by, whose name stands there before theirs ends", async () => {
  const redis = await startEmbeddedRedis();
  open.push(() => redis.close());
  const store = await connectRedisStore({
    url: redis.url,
    clock: systemClock,
    logger: silentLogger,
    deadlineMs: 5_000,
  });
  open.push(() => store.close());
  const first = await startOrigin(redis.url);
  const placeOf = ({ ovtPort }: RunningNode): string => `:${ovtPort}/`;
  const best = async (): Promise<string> => (await store.lookup(name))[0] ?? "";
  await until("the first origin in the store", 5_000, async () => (await best()).includes(placeOf(first)));
  const second = await startOrigin(redis.url);
  const edge = await start("", { redisUrl: redis.url });
  const viewer = await watch(edge);
  const drained = drainUnder(viewer, edge, first, placeOf(second));
  await until("the second origin in the store", 5_000, async () => (await best()).includes(placeOf(second)));
  const state = edge.hub.list()[0]?.pull?.state;
  assert.ok(state?.phase === "live" && state.url.includes(placeOf(first)), "the first one still sends");
  await drained;
});
