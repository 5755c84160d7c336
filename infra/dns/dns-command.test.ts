import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { NodeRecord } from "../../media-node/cluster/store/contract.ts";
import { signNodeRecord } from "../../media-node/cluster/store/node-record.ts";
import { importSigningKey } from "../../media-node/cluster/ticket/signing-key.ts";
import { SettingError } from "../../media-node/flow/errors.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { startRedisServer, type RedisServer } from "../../test/support/redis-server.ts";
import { runDns } from "./dns-command.ts";

let redis: RedisServer;
before(async () => void (redis = await startRedisServer()));
after(() => redis.close());

async function publish(id: string, secret: string, url: string): Promise<void> {
  const store = await connectRedisStore({
    url: redis.url,
    clock: systemClock,
    logger: silentLogger,
    deadlineMs: 3_000,
  });
  const record: NodeRecord = {
    id,
    url,
    state: "serving",
    protocols: ["llhls"],
    region: "",
    viewers: 0,
    maxViewers: 0,
    egressBps: 0,
    cpu: 0,
    streams: {},
    origins: [],
    startedMs: 0,
  };
  await store.putNode(id, await signNodeRecord(await importSigningKey(secret), record, Date.now()));
  await store.close();
}

test("the live registry becomes a zone file, forged records are left out with a sentence, and silence empties nothing", async () => {
  const env = { REDIS_URL: redis.url, HEARTH_SECRET: "the cluster's own secret" };
  const empty = await runDns(["edge.example.com"], env);
  assert.deepEqual({ stdout: empty.stdout, exitCode: empty.exitCode }, { stdout: "", exitCode: 1 });
  assert.match(empty.stderr, /No node serves viewers/);

  await publish("edge-1", env.HEARTH_SECRET, "http://192.0.2.1:3333");
  await publish("edge-2", env.HEARTH_SECRET, "https://[2001:db8::2]");
  await publish("stranger", "somebody else's secret", "http://203.0.113.66");
  const { stdout, stderr, exitCode } = await runDns(["edge.example.com", "--ttl", "20"], env);
  assert.equal(stdout, "edge.example.com. 20 IN A 192.0.2.1\nedge.example.com. 20 IN AAAA 2001:db8::2\n");
  assert.equal(stderr, "stranger is not believed (forged); left out.\n");
  assert.equal(exitCode, 0);

  const json = await runDns(["edge.example.com", "--format", "json"], env);
  assert.deepEqual(Object.keys(JSON.parse(json.stdout) as object), ["edge"]);
});

test("a store that does not answer is an error, not an empty zone", async () => {
  const env = { REDIS_URL: "redis://127.0.0.1:1" };
  await assert.rejects(runDns(["edge.example.com"], env), { name: "StoreUnavailable" });
});

for (const [args, says] of [
  [[], /hearth dns NAME/],
  [["edge.example.com", "--ttl", "soon"], /--ttl is "soon"/],
  [["edge.example.com", "--format", "xml"], /--format is "xml"/],
] as const) {
  test(`${["hearth dns", ...args].join(" ")} says what to write`, async () => {
    await assert.rejects(runDns(args, { REDIS_URL: "redis://127.0.0.1:1" }), (thrown: Error) => {
      assert.ok(thrown instanceof SettingError);
      assert.match(thrown.message, says);
      return true;
    });
  });
}

test("without a store there is a sentence", async () => {
  await assert.rejects(runDns(["edge.example.com"], {}), /Set REDIS_URL/);
});
