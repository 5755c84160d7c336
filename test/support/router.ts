/** A router with a cluster in memory, for tests of `functions/`: no server, no store, a clock that is set by hand. */
import type { Hono } from "hono";
import { StoreUnavailable, type ClusterStreamName, type NodeRecord } from "#cluster/store/contract.ts";
import { signNodeRecord } from "#cluster/store/node-record.ts";
import { importSigningKey, type SigningKey } from "#cluster/ticket/signing-key.ts";
import { createRouter, type RouterParts } from "../../functions/app.ts";
import type { RouterTypes } from "../../functions/desk.ts";
import { singleVhost } from "../../functions/vhosts.ts";

export const secret = "a secret for tests only";
export const startMs = Date.UTC(2026, 0, 1);

/** A node that serves everything, at `http://<id>.test`. */
export function nodeRecord(id: string, more: Partial<NodeRecord> = {}): NodeRecord {
  return {
    id,
    url: `http://${id}.test`,
    state: "serving",
    protocols: ["webrtc", "whep", "llhls"],
    region: "",
    viewers: 0,
    maxViewers: 1_000,
    egressBps: 0,
    cpu: 0,
    streams: {},
    origins: [],
    startedMs: startMs,
    ...more,
  };
}

/** What the store holds, and whether it answers. Change it between requests. */
export interface FakeCluster {
  nodes: NodeRecord[];
  /** Texts beside the signed records: poison. */
  rawRecords: string[];
  /** `vhost/app/stream` → URLs. */
  origins: Record<string, string[]>;
  isSilent: boolean;
  nowMs: number;
  /** Snapshots and lookups. */
  reads: number;
  lookups: number;
}

export interface RouterFixture {
  readonly app: Hono<RouterTypes>;
  readonly cluster: FakeCluster;
  readonly key: SigningKey;
  /** One request to `http://router.test`, or to a whole URL. */
  readonly ask: (path: string, init?: RequestInit) => Promise<Response>;
}

export async function routerFixture(
  cluster: Partial<FakeCluster> = {},
  parts: Partial<RouterParts> = {},
): Promise<RouterFixture> {
  const key = await importSigningKey(secret);
  const held: FakeCluster = {
    nodes: [nodeRecord("edge1"), nodeRecord("edge2")],
    rawRecords: [],
    origins: { "default/app/stream": ["ovt://origin:9000/app/stream"] },
    isSilent: false,
    nowMs: startMs,
    reads: 0,
    lookups: 0,
    ...cluster,
  };
  const app = createRouter({
    env: {},
    reader: { snapshot: (name) => snapshot(held, key, name), lookup: (name) => lookup(held, name) },
    vhosts: singleVhost,
    key,
    cache: undefined,
    nowMs: () => held.nowMs,
    fetch: () => Promise.reject(new TypeError("no node is reachable in this test")),
    ...parts,
  });
  const ask = async (path: string, init?: RequestInit) =>
    app.request(path.startsWith("http") ? path : `http://router.test${path}`, init);
  return { app, cluster: held, key, ask };
}

async function snapshot(held: FakeCluster, key: SigningKey, name: ClusterStreamName) {
  const origins = read(held, name);
  const signed = await Promise.all(held.nodes.map((node) => signNodeRecord(key, node, held.nowMs)));
  return { nowMs: held.nowMs, nodes: [...signed, ...held.rawRecords], origins };
}

async function lookup(held: FakeCluster, name: ClusterStreamName) {
  held.lookups++;
  return read(held, name);
}

function read(held: FakeCluster, name: ClusterStreamName): string[] {
  held.reads++;
  if (held.isSilent) throw new StoreUnavailable("silent in this test");
  return held.origins[`${name.vhost}/${name.app}/${name.stream}`] ?? [];
}
