import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptionOf, videoTrack } from "../test/support/synthetic-stream.ts";
import { settle, TestHub } from "../test/support/webrtc-room.ts";
import type { ClusterStore } from "./cluster/store/contract.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { silentLogger } from "./flow/logger.ts";
import { LiveConfig } from "./live-config.ts";
import { StreamClaims } from "./stream-claims.ts";

const name = { vhost: "default", app: "app", stream: "live" };

/** An origin's Server.xml; each part may be changed by a reload. */
function configOf({ host = "origin-1", isPublished = true, requireTls = false } = {}): ServerConfig {
  const store = host && `<OriginMapStore><OriginHostName>${host}</OriginHostName></OriginMapStore>`;
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>origin</Type><IP>*</IP>
     <Bind><Publishers><OVT><Port>9000</Port></OVT></Publishers></Bind>
     <VirtualHosts><VirtualHost><Name>default</Name>${store}
     <Applications><Application><Name>app</Name><Type>live</Type>
     <Publishers>${isPublished ? "<OVT/>" : "<LLHLS/>"}</Publishers></Application></Applications>
     </VirtualHost></VirtualHosts>
     ${requireTls ? "<Hearth><OvtLink><RequireTLS>true</RequireTLS></OvtLink></Hearth>" : ""}</Server>`,
    { path: "f", env: {} },
  );
  assert.ok(config, JSON.stringify(problems));
  return config;
}

/** Takes every claim, and remembers what it was told. */
function rememberingStore(says: string[], by = "store"): ClusterStore {
  const refuse = (): Promise<never> => Promise.reject(new Error("not asked for here"));
  return {
    claim: async ({ url }) => {
      says.push(`${by}: claim ${url}`);
      return { kind: "owner", epoch: 1 };
    },
    release: async ({ stream }) => void says.push(`${by}: release ${stream}`),
    lookup: refuse,
    snapshot: refuse,
    putNode: refuse,
    dropNode: refuse,
    close: refuse,
  };
}

async function origin(start: ServerConfig) {
  const { hub, clock } = new TestHub(descriptionOf([videoTrack]));
  const says: string[] = [];
  const stores = { current: rememberingStore(says) as ClusterStore | undefined };
  const live = new LiveConfig(start);
  const claims = new StreamClaims({
    live,
    hub,
    stores: { storeOf: () => stores.current },
    ovtPort: 9000,
    clock,
    logger: silentLogger,
  });
  await hub.acquire(name, { protocol: "whep" });
  await settle();
  const reload = async (next: ServerConfig): Promise<string[]> => {
    await live.replace(next);
    await settle();
    return says.splice(0);
  };
  return { claims, live, stores, says, reload, hub };
}

test("a reload that takes the publisher away gives the claim of a live stream back, and one that brings it claims", async () => {
  const { claims, says, reload } = await origin(configOf());
  assert.deepEqual(says.splice(0), ["store: claim ovt://origin-1:9000/app/live"]);
  assert.deepEqual(await reload(configOf({ isPublished: false })), ["store: release live"]);
  assert.deepEqual([claims.names, claims.standing(name)], [[], undefined]);
  assert.deepEqual(await reload(configOf()), ["store: claim ovt://origin-1:9000/app/live"]);
  assert.deepEqual(claims.names, ["default/app/live"]);
  await claims.close();
});

test("a stream that is live is claimed once an OriginHostName is given, under the new one when it changes", async () => {
  const { says, reload, claims } = await origin(configOf({ host: "" }));
  assert.deepEqual(says, []);
  assert.deepEqual(await reload(configOf()), ["store: claim ovt://origin-1:9000/app/live"]);
  assert.deepEqual(await reload(configOf({ host: "origin-2" })), [
    "store: release live",
    "store: claim ovt://origin-2:9000/app/live",
  ]);
  assert.deepEqual(await reload(configOf({ host: "origin-2" })), [], "nothing new, nothing said");
  await claims.close();
});

test("another store gets the claim, and the former one has it back", async () => {
  const { says, stores, reload, claims } = await origin(configOf());
  says.length = 0;
  stores.current = rememberingStore(says, "other");
  const told = await reload(configOf());
  assert.deepEqual(told.toSorted(), ["other: claim ovt://origin-1:9000/app/live", "store: release live"]);
  stores.current = undefined;
  assert.deepEqual(await reload(configOf()), ["other: release live"]);
  await claims.close();
});

test("a claim names the port as it was opened: TLS that a reload asks for needs a restart", async () => {
  const { says, reload, claims } = await origin(configOf());
  says.length = 0;
  assert.deepEqual(await reload(configOf({ requireTls: true })), []);
  await claims.close();
  assert.deepEqual(says, ["store: release live"]);
});
