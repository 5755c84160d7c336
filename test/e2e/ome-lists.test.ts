// Two edges, and one that joins late, behind a stand-in for an OvenMediaEngine origin that says nothing of its past, with a real
// redis-server between them: what a player finds whose requests go to any of them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { parseServerXml } from "../../media-node/config/parse-server-xml.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startNode, type RunningNode } from "../../media-node/node.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { OmeOrigin } from "../support/ome-cluster.ts";
import { rawRedis } from "../support/redis-under-test.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { until } from "../support/until.ts";

const clip = new URL("../../infra/laptop/loop.mp4", import.meta.url).pathname;
const key = "app/stream";

async function startEdge(redisUrl: string): Promise<RunningNode> {
  const env = { REDIS_URL: redisUrl };
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP><Bind><Publishers><LLHLS><Port>0</Port></LLHLS></Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host><OriginMapStore/>
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers><LLHLS>
<ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration><SegmentCount>20</SegmentCount></LLHLS></Publishers></Application></Applications>
</VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env },
  );
  assert.ok(config, JSON.stringify(problems));
  return startNode({ config, env, clock: systemClock, logger: silentLogger });
}

/** A player that keeps to one edge: it reads the picture's list again and again under one session. */
class Player {
  readonly #edge: RunningNode;
  #playlist: string | undefined;

  constructor(edge: RunningNode) {
    this.#edge = edge;
  }

  async #get(file: string): Promise<string> {
    const answer = await fetch(`${this.#edge.url}/${key}/${file}`);
    assert.equal(answer.status, 200, file);
    return answer.text();
  }

  async list(): Promise<List> {
    this.#playlist ??= (await this.#get("llhls.m3u8"))
      .split("\n")
      .find((line) => line.includes("video"))!
      .trim();
    return listOf(await this.#get(this.#playlist));
  }
}

interface List {
  /** Number of the first segment that other edges may list. */
  readonly first: number;
  /** Discontinuity sequence numbers of whole segments with media, by name. */
  readonly numbers: ReadonlyMap<string, number>;
}

function listOf(text: string): List {
  const lines = text.split("\n");
  const valueOf = (tag: string): number => Number(lines.find((line) => line.startsWith(`${tag}:`))?.split(":")[1] ?? 0);
  let number = valueOf("#EXT-X-DISCONTINUITY-SEQUENCE");
  const numbers = new Map<string, number>();
  for (const [at, line] of lines.entries()) {
    if (line === "#EXT-X-DISCONTINUITY") number++;
    else if (line.startsWith("seg_") && lines[at - 2] !== "#EXT-X-GAP") numbers.set(line, number);
  }
  // The first segment of all was joined in its middle: it has a mark in its name, and nobody else lists it.
  const isMarked = /_video_\w+-/.test(lines.find((line) => line.startsWith("seg_")) ?? "");
  return { first: valueOf("#EXT-X-MEDIA-SEQUENCE") + (isMarked ? 1 : 0), numbers };
}

const shared = (one: List, two: List): string[] => [...one.numbers.keys()].filter((name) => two.numbers.has(name));

test("lists of edges behind an OvenMediaEngine origin begin alike while they are young, and count its breaks alike", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "hearth-ome-"));
  const redis = await startRedisServer();
  const { raw: ask, close } = await rawRedis(redis.url);
  const closers = [() => rm(folder, { recursive: true, force: true }), () => redis.close(), close];
  t.after(async () => {
    for (const closer of closers.toReversed()) await closer();
  });
  const origin = async (path: string): Promise<OmeOrigin> => {
    const started = await OmeOrigin.start(key, pathToFileURL(path).href, ask);
    closers.push(() => started.stop());
    return started;
  };
  const edge = async (): Promise<RunningNode> => {
    const started = await startEdge(redis.url);
    closers.push(() => started.close({ code: "done" }));
    return started;
  };
  // Another encoder: its pictures are of another size.
  const other = join(folder, "other.mp4");
  const picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=r=48000"];
  const coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0", "-c:a", "aac", "-t", "4", other];
  await promisify(execFile)("ffmpeg", ["-v", "error", ...picture, ...coding]);

  const before = await origin(clip);
  const one = new Player(await edge());
  const size = async (): Promise<number> => (await one.list()).numbers.size;
  await until("the first edge lists two segments", 15_000, async () => (await size()) >= 2);
  // The second one has viewers by WebRTC for a while before the first by LL-HLS.
  const second = await edge();
  await second.hub.acquire({ vhost: "default", app: "app", stream: "stream" }, { protocol: "whep" });
  const known = await size();
  await until("the second has some segments' media", 15_000, async () => (await size()) >= known + 4);
  const two = new Player(second);
  const young = await until("both list three segments", 15_000, async () => {
    const lists = [await one.list(), await two.list(), await one.list()] as const;
    return shared(lists[0], lists[1]).length >= 3 ? lists : undefined;
  });

  // Between two requests a segment may leave the window.
  const [a, b, again] = young.map(({ first }) => first);
  assert.ok(a! <= b! && b! <= again!, `the lists begin at ${a}, ${b}, ${again}`);

  await before.stop();
  await origin(other);
  const isBehindBreak = async (who: Player): Promise<boolean> => {
    const numbers = [...(await who.list()).numbers.values()];
    return numbers.filter((number) => number === 1).length >= 2;
  };
  await until(
    "both play what the origin has now",
    20_000,
    async () => (await isBehindBreak(one)) && isBehindBreak(two),
  );
  const late = new Player(await edge());
  await until("so does one that joined since", 15_000, () => isBehindBreak(late));
  const lists = [await one.list(), await two.list(), await late.list()] as const;
  for (const [a, b] of [
    [lists[0], lists[1]],
    [lists[0], lists[2]],
  ] as const) {
    const names = shared(a, b);
    assert.ok(names.length >= 1, "nothing in both");
    assert.deepEqual(
      names.map((name) => b.numbers.get(name)),
      names.map((name) => a.numbers.get(name)),
    );
  }
});
