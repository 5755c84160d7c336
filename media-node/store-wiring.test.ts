import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStore } from "./cluster/store/contract.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { LiveConfig } from "./live-config.ts";
import { openStores } from "./store-wiring.ts";
import { ManualClock } from "./time/manual-clock.ts";

const configOf = (redisHost: string): ServerConfig =>
  parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>a</Name><OriginMapStore>
     <RedisServer><Host>${redisHost}:6379</Host></RedisServer></OriginMapStore></VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env: {} },
  ).config!;

async function setUp() {
  const live = new LiveConfig(configOf("first"));
  const stores = await openStores(live.now, undefined, { clock: new ManualClock(), logger: silentLogger, live });
  const used: ClusterStore[] = [];
  stores.each((store) => used.push(store));
  return { live, stores, used };
}

test("a store of a configuration that another part refuses is none of the node's", async () => {
  const { live, stores, used } = await setUp();
  const leave = live.addPart({ prepare: () => Promise.reject(new SettingError("no certificate")) });
  await assert.rejects(live.replace(configOf("second")), SettingError);
  assert.deepEqual(used, [stores.storeOf("a")]);
  leave();
  await live.replace(configOf("second"));
  assert.equal(used.length, 2);
  assert.equal(used[1], stores.storeOf("a"));
  await live.replace(configOf("first"));
  assert.equal(used.length, 2, "one that was used before is used on");
  assert.equal(stores.storeOf("a"), used[0]);
  await stores.close();
});

test("a reload that is still under way when the node closes opens nothing for it", async () => {
  const { live, stores, used } = await setUp();
  const certificates = Promise.withResolvers<() => void>();
  live.addPart({ prepare: () => certificates.promise });
  const reloaded = live.replace(configOf("second"));
  await stores.close();
  certificates.resolve(() => {});
  await reloaded;
  assert.equal(used.length, 1);
});
