/** A store that speaks Upstash's REST protocol as far as the router does: EVAL_RO, for a snapshot or for one stream's origins. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { NodeRecord } from "#cluster/store/contract.ts";
import { lookupScript, snapshotScript } from "#cluster/store/scripts.ts";
import { signNodeRecord } from "#cluster/store/node-record.ts";
import { importSigningKey } from "#cluster/ticket/signing-key.ts";

export interface RestStore {
  readonly url: string;
  readonly token: string;
  nodes: NodeRecord[];
  /** `app/stream` → URLs. */
  origins: Record<string, string[]>;
  /** A server before Redis 7: it knows no EVAL_RO. */
  isOld: boolean;
  /** Its token may only read. */
  isReadOnly: boolean;
  /** Takes requests and says nothing. */
  isSilent: boolean;
  /** Snapshots and lookups. */
  reads: number;
  lookups: number;
  /** All requests, refused ones included. */
  requests: number;
  /** Answers that any stream has an origin. */
  knowsEveryStream: boolean;
  close(): Promise<void>;
}

export async function startRestStore(secret: string): Promise<RestStore> {
  const key = await importSigningKey(secret);
  const server = createServer((request, response) => {
    void answer(request, response);
  });
  const sign = (nodes: NodeRecord[], nowMs: number) =>
    Promise.all(nodes.map((node) => signNodeRecord(key, node, nowMs)));
  /** Every node reports every 2 s. */
  let published: { atMs: number; nodes: NodeRecord[]; records: string[] } = { atMs: 0, nodes: [], records: [] };
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += String(chunk);
    store.requests++;
    if (store.isSilent) return;
    response.setHeader("Content-Type", "application/json");
    const command = JSON.parse(body) as string[];
    if (request.headers.authorization !== `Bearer ${store.token}`) {
      response.writeHead(401).end('{"error":"WRONGPASS"}');
    } else if (store.isReadOnly && command[0]?.toLowerCase() === "eval") {
      response.writeHead(400).end('{"error":"NOPERM this user has no permissions to run the \'eval\' command"}');
    } else if (store.isOld && command[0]?.toLowerCase() === "eval_ro") {
      response.writeHead(400).end(`{"error":"ERR unknown command 'eval_ro', with args beginning with: "}`);
    } else if (request.url !== "/" || !/^eval(_ro)?$/i.test(command[0] ?? "") || !isKnown(command[1])) {
      response.writeHead(400).end('{"error":"ERR only the reading scripts are known here"}');
    } else if (command[1] === lookupScript) {
      store.reads++;
      store.lookups++;
      // EVAL script count origins plain plainMark vhost
      response.end(JSON.stringify({ result: originsOf(command[4]!) }));
    } else {
      store.reads++;
      const nowMs = Date.now();
      if (nowMs - published.atMs > 2_000 || published.nodes !== store.nodes)
        published = { atMs: nowMs, nodes: store.nodes, records: await sign(store.nodes, nowMs) };
      // EVAL script count records leases origins plain plainMark vhost
      response.end(JSON.stringify({ result: [nowMs, published.records, originsOf(command[6]!)] }));
    }
  }
  const isKnown = (script: string | undefined) => script === snapshotScript || script === lookupScript;
  const originsOf = (plain: string) =>
    store.knowsEveryStream ? [`ovt://origin/${plain}`] : (store.origins[plain] ?? []);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const store: RestStore = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: "store token",
    nodes: [],
    origins: {},
    isOld: false,
    isReadOnly: false,
    isSilent: false,
    reads: 0,
    lookups: 0,
    requests: 0,
    knowsEveryStream: false,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return store;
}
