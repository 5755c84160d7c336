// docs/migrate-from-ome.md, step by step, with stand-ins for OvenMediaEngine's nodes: the store says what each kind of node
// expects, and who watches goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { parseServerXml } from "../../media-node/config/parse-server-xml.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startNode, type RunningNode } from "../../media-node/node.ts";
import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { WatchingViewer } from "../support/failover-world.ts";
import { OmeEdge, OmeOrigin } from "../support/ome-cluster.ts";
import { rawRedis } from "../support/redis-under-test.ts";
import { until } from "../support/until.ts";

const clip = new URL("../../infra/laptop/loop.mp4", import.meta.url).pathname;
const name = { vhost: "default", app: "app", stream: "stream" };
const plainKey = "app/stream";
const apiToken = "token";
const subtitles = `<OutputProfiles><MediaOptions><Subtitles><Enable>true</Enable><DefaultLabel>English</DefaultLabel>
<Rendition><Language>en</Language><Label>English</Label></Rendition></Subtitles></MediaOptions></OutputProfiles>`;

/** Sends a cue of 6 s for what is live now by the REST API. */
async function sendCue({ apiPorts }: RunningNode, text: string): Promise<{ statusCode: number; message: string }> {
  const url = `http://127.0.0.1:${apiPorts[0]}/v1/vhosts/default/apps/app/streams/stream:sendSubtitles`;
  const data = [{ label: "English", subtitles: [{ text, durationMs: 6_000 }] }];
  const headers = { authorization: `Basic ${Buffer.from(apiToken).toString("base64")}` };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ format: "webvtt", data }) });
  return (await answer.json()) as { statusCode: number; message: string };
}

const fileOf = async (node: RunningNode, name: string): Promise<string> =>
  (await fetch(`${node.url}/${plainKey}/${name}`)).text();

/** Segments listed by `playlist` that show `text`, as every node writes them: by name. None that was joined in its middle. */
async function segmentsWith(node: RunningNode, playlist: string, text: string): Promise<ReadonlyMap<string, string>> {
  const names = (await fileOf(node, playlist)).match(/^seg_\d+_\d+_subtitle_\w+_llhls\.vtt$/gm) ?? [];
  const files = await Promise.all(names.map(async (name) => [name, await fileOf(node, name)] as const));
  return new Map(files.filter(([, file]) => file.startsWith("WEBVTT\n") && file.includes(`\n${text}\n`)));
}

/** A Hearth node with the Server.xml of the OvenMediaEngine node before it. */
async function start(kind: "origin" | "edge", redisUrl: string): Promise<RunningNode> {
  const isOrigin = kind === "origin";
  const rule = `<Origins><Origin><Location>/app/stream</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin></Origins>`;
  const env = { REDIS_URL: redisUrl };
  const ports = `<Managers><API><Port>0</Port></API></Managers><Publishers>${isOrigin ? "<OVT><Port>0</Port></OVT>" : ""}<LLHLS><Port>0</Port></LLHLS></Publishers>`;
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>${kind}</Type><IP>127.0.0.1</IP><Bind>${ports}</Bind>
<Managers><Host><Names><Name>*</Name></Names></Host><API><AccessToken>${apiToken}</AccessToken></API></Managers>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
<OriginMapStore>${isOrigin ? "<OriginHostName>127.0.0.1</OriginHostName>" : ""}</OriginMapStore>${isOrigin ? rule : ""}
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers>
${isOrigin ? subtitles : ""}<Publishers>${isOrigin ? "<OVT/>" : ""}<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS></Publishers></Application></Applications></VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env },
  );
  assert.ok(config, JSON.stringify(problems));
  return startNode({ config, env, clock: systemClock, logger: silentLogger });
}

test("a cluster is moved from OvenMediaEngine one node at a time and back, and nobody's stream ends", async (t) => {
  const redis = await startEmbeddedRedis();
  const { raw: ask, close } = await rawRedis(redis.url);
  const closers: (() => Promise<unknown>)[] = [() => redis.close(), close];
  t.after(async () => {
    for (const closer of closers.toReversed()) await closer();
  });
  const store = await connectRedisStore({
    url: redis.url,
    clock: systemClock,
    logger: silentLogger,
    deadlineMs: 5_000,
  });
  closers.push(() => store.close());
  const plain = (): Promise<unknown> => ask("GET", plainKey);
  const becomes = (what: string, url: string) => until(what, 6_000, async () => (await plain()) === url);
  const omeOrigin = async (): Promise<OmeOrigin> => {
    const origin = await OmeOrigin.start(plainKey, pathToFileURL(clip).href, ask);
    closers.push(() => origin.stop());
    return origin;
  };
  const hearth = async (kind: "origin" | "edge"): Promise<RunningNode> => {
    const node = await start(kind, redis.url);
    closers.push(() => node.close({ code: "done" }));
    return node;
  };
  const watch = async (edge: RunningNode): Promise<WatchingViewer> => {
    const result = await edge.hub.acquire(name, { protocol: "whep" });
    assert.ok(result.kind === "stream", JSON.stringify(result));
    return new WatchingViewer(result.hold.stream);
  };
  const viewers: WatchingViewer[] = [];
  const edges: OmeEdge[] = [];
  const everybodyPlays = async (step: string): Promise<void> => {
    const before = [...viewers.map(({ frames }) => frames.length), ...edges.map(({ media }) => media)];
    await until(`${step}: everybody plays on`, 10_000, () =>
      [...viewers.map(({ frames }) => frames.length), ...edges.map(({ media }) => media)].every(
        (count, at) => count > before[at]! + 10,
      ),
    );
    for (const { ends } of viewers) assert.deepEqual(ends, [], step);
  };

  const first = await omeOrigin();
  const omeEdge = new OmeEdge(plainKey, ask);
  edges.push(omeEdge);
  closers.push(() => omeEdge.close());
  await everybodyPlays("as it was");
  assert.equal(await plain(), first.url);

  const edge = await hearth("edge");
  viewers.push(await watch(edge));
  await everybodyPlays("one edge");
  assert.equal(await plain(), first.url, "an edge writes no key");

  const origin = await hearth("origin");
  const held = await origin.hub.acquire(name, { protocol: "prewarm" });
  assert.equal(held.kind, "stream");
  const ours = `ovt://127.0.0.1:${origin.ovtPort}/${plainKey}`;
  await until("the new origin stands by", 5_000, async () => (await store.lookup(name)).includes(ours));
  await everybodyPlays("an origin beside");
  assert.equal(await plain(), first.url, "who was first is the origin, for edges of both kinds");
  assert.equal(omeEdge.url, first.url);

  await first.stop();
  await becomes("the new origin has the key", ours);
  await everybodyPlays("the old origin has gone");
  assert.equal(omeEdge.url, ours, "edges that are left pull from the new one");

  assert.equal((await sendCue(origin, "at last")).statusCode, 200);
  const refused = await sendCue(edge, "to an edge");
  assert.equal(refused.statusCode, 400);
  assert.match(refused.message, /begins at node .*: send subtitles there/);
  const playlist = await until("the edge lists the subtitles", 10_000, async () => {
    const master = await fileOf(edge, "llhls.m3u8");
    return /TYPE=SUBTITLES.*NAME="English".*URI="(chunklist_1000_subtitle_\w+\.m3u8)/.exec(master)?.[1];
  });
  await until("the origin and the edge show the cue in the same file", 20_000, async () => {
    const [own, shown] = await Promise.all([origin, edge].map((node) => segmentsWith(node, playlist, "at last")));
    return [...shown!].some(([name, file]) => own!.get(name) === file);
  });

  const second = await omeOrigin();
  await everybodyPlays("the old origin is back");
  assert.equal(await plain(), ours, "it does not take what another has");

  assert.equal(await origin.drain(), "everybody-moved");
  assert.equal(await plain(), second.url, "and has it before the other one ends its pulls");
  await origin.close({ code: "drained" });
  await everybodyPlays("a step back");
  assert.equal(omeEdge.url, second.url);
});
