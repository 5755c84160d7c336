// What an operator turns without a restart: who may watch, who may ask the API, how many viewers a node takes, how long it drains,
// how much of a stream it keeps.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readServerXml } from "../../media-node/config-commands.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startNode } from "../../media-node/node.ts";
import type { NodeMessage } from "../../media-node/node-message.ts";
import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { repository } from "../support/command.ts";
import { until } from "../support/until.ts";

interface Settings {
  readonly policySecret: string;
  readonly apiToken: string;
  readonly maxViewers: number;
  readonly drainMs: number;
  readonly segmentSeconds: number;
}

const serverXml = (redis: string, { policySecret, apiToken, maxViewers, drainMs, segmentSeconds }: Settings): string =>
  `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
  <Hearth ignore="true"><Node><Id>turned</Id><MaxViewers>${maxViewers}</MaxViewers></Node><OperatorPort>0</OperatorPort>
  <DrainTimeout>${drainMs}</DrainTimeout></Hearth>
  <Bind><Managers><API><Port>0</Port></API></Managers><Publishers><LLHLS><Port>0</Port></LLHLS></Publishers></Bind>
  <Managers><Host><Names><Name>*</Name></Names></Host><API><AccessToken>${apiToken}</AccessToken></API></Managers>
  <VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
  <SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName><SignatureQueryKeyName>signature</SignatureQueryKeyName>
  <SecretKey>${policySecret}</SecretKey><Enables><Publishers>llhls</Publishers></Enables></SignedPolicy>
  <OriginMapStore><RedisServer><Host>${new URL(redis).host}</Host></RedisServer></OriginMapStore>
  <Origins><Origin><Location>/app/stream</Location><Pass><Scheme>file</Scheme><Urls>
  <Url>${join(repository, "infra/laptop/loop.mp4")}</Url></Urls></Pass></Origin></Origins>
  <Applications><Application><Name>app</Name><Type>live</Type><Publishers><LLHLS><ChunkDuration>0.2</ChunkDuration>
  <SegmentDuration>${segmentSeconds}</SegmentDuration></LLHLS></Publishers></Application></Applications>
  </VirtualHost></VirtualHosts></Server>`;

function signed(url: string, secret: string): string {
  const policy = Buffer.from(JSON.stringify({ url_expire: Date.now() + 60_000 })).toString("base64url");
  const withPolicy = `${url}?policy=${policy}`;
  return `${withPolicy}&signature=${createHmac("sha1", secret).update(withPolicy).digest("base64url")}`;
}

const statusOf = async (url: string, init?: RequestInit): Promise<number> => {
  const answer = await fetch(url, init);
  await answer.arrayBuffer();
  return answer.status;
};

test("secrets, tokens, MaxViewers, DrainTimeout and the length of segments follow a reload", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hearth-reload-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "Server.xml");
  const redis = await startEmbeddedRedis({ port: 0 });
  t.after(() => redis.close());
  const before = { policySecret: "old", apiToken: "old-token", maxViewers: 5, drainMs: 20_000, segmentSeconds: 2 };
  writeFileSync(path, serverXml(redis.url, before));
  const { config } = readServerXml(path);
  assert.ok(config);
  let operatorPort: number | undefined;
  const node = await startNode({
    config,
    env: { REDIS_URL: redis.url },
    clock: systemClock,
    logger: silentLogger,
    readConfig: () => readServerXml(path),
    onMessage: (message: NodeMessage) => {
      if (message.type === "ready") ({ operatorPort } = message);
    },
  });
  t.after(() => node.close({ code: "shutdown" }));
  const store = await connectRedisStore({
    url: redis.url,
    clock: systemClock,
    logger: silentLogger,
    deadlineMs: 3_000,
  });
  t.after(() => store.close());

  const play = (secret: string) => statusOf(signed(`${node.url}/app/stream/llhls.m3u8`, secret));
  const ask = (token: string) =>
    statusOf(`http://127.0.0.1:${node.apiPorts[0]}/v1/vhosts`, {
      headers: { authorization: `Basic ${Buffer.from(token).toString("base64")}` },
    });
  const expect = async ({ policySecret, apiToken, maxViewers }: Settings, not: Settings): Promise<void> => {
    assert.deepEqual([await play(policySecret), await play(not.policySecret)], [200, 401]);
    assert.deepEqual([await ask(apiToken), await ask(not.apiToken)], [200, 401]);
    await until(`the cluster knows of ${maxViewers} viewers at most`, 10_000, async () => {
      const { nodes } = await store.snapshot({ vhost: "default", app: "-", stream: "-" });
      return nodes.some((record) => record.includes(`"maxViewers":${maxViewers}`));
    });
  };
  const after = { policySecret: "new", apiToken: "new-token", maxViewers: 7, drainMs: 12_000, segmentSeconds: 1 };
  await expect(before, after);
  const stream = node.hub.find({ vhost: "default", app: "app", stream: "stream" });
  assert.ok(stream);
  assert.equal(stream.recentMs, 14_000);

  writeFileSync(path, serverXml(redis.url, after));
  const outcome = await node.reload("test");
  assert.deepEqual([outcome?.isTaken, outcome?.needRestart], [true, []]);
  await expect(after, before);
  assert.equal(stream.recentMs, 8_000, "what is live keeps as much as segments of the new length ask for");

  await fetch(`http://127.0.0.1:${operatorPort}/-/drain`, { method: "POST" });
  const drain = (await (await fetch(`http://127.0.0.1:${operatorPort}/-/drain`)).json()) as { leftMs: number };
  assert.ok(drain.leftMs > 5_000 && drain.leftMs <= 12_000, `${drain.leftMs} ms are left`);
});
