// Origin, edge and viewers that know one another by IPv6 addresses alone.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { RunningNode } from "../../media-node/node.ts";
import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { startFromXml } from "../support/failover-world.ts";
import { until } from "../support/until.ts";

const clip = new URL("../../infra/laptop/loop.mp4", import.meta.url).pathname;

async function start(t: TestContext, isOrigin: boolean, inVhost: string): Promise<RunningNode> {
  const port = isOrigin ? "<OVT><Port>0</Port></OVT>" : "<LLHLS><Port>0</Port></LLHLS>";
  const publisher = isOrigin
    ? "<OVT/>"
    : "<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS>";
  const node =
    await startFromXml(`<Server version="8"><Type>edge</Type><IP>::1</IP><Bind><Publishers>${port}</Publishers></Bind>
<Hearth ignore="true"><Node><PublicUrl>http://[::1]</PublicUrl></Node></Hearth>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>[::1]</Name></Names></Host>${inVhost}
<Applications><Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers><Publishers>${publisher}</Publishers>
</Application></Applications></VirtualHost></VirtualHosts></Server>`);
  t.after(() => node.close({ code: "done" }));
  return node;
}

const rule = (scheme: string, url: string): string =>
  `<Origins><Origin><Location>/app/cam</Location><Pass><Scheme>${scheme}</Scheme><Urls><Url>${url}</Url></Urls></Pass></Origin></Origins>`;

test(
  "streams are pulled from an IPv6 address, by a rule and by what the origin wrote into the store",
  { timeout: 60_000 },
  async (t) => {
    const redis = await startEmbeddedRedis();
    t.after(() => redis.close());
    const store = (more = ""): string =>
      `<OriginMapStore><RedisServer><Host>${redis.url.replace("redis://", "")}</Host></RedisServer>${more}</OriginMapStore>`;
    const origin = await start(t, true, rule("file", clip) + store("<OriginHostName>::1</OriginHostName>"));
    const play = async (edge: RunningNode): Promise<string | undefined> => {
      const master = await until("the edge plays", 10_000, async () => {
        const answer = await fetch(`${edge.url}/app/cam/llhls.m3u8`);
        const text = await answer.text();
        return answer.status === 200 ? text : undefined;
      });
      assert.match(master, /^#EXTM3U/);
      const { state } = edge.hub.look({ vhost: "default", app: "app", stream: "cam" })!.pull!;
      return state.phase === "live" ? state.url : undefined;
    };
    const url = `ovt://[::1]:${origin.ovtPort}/app/cam`;
    assert.equal(await play(await start(t, false, rule("ovt", `[::1]:${origin.ovtPort}/app/cam`))), url);
    assert.equal(await play(await start(t, false, store())), url);
  },
);
