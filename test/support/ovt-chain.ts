// A chain of relays over real sockets that moves a given number of samples, with a counter in each.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import type { Duplex } from "node:stream";
import type { Stream } from "../../media-node/core/stream.ts";
import {
  avDescription,
  FedSource,
  openTestNode,
  portOf,
  until,
  videoIndex,
  videoSample,
  type TestNode,
} from "./ovt-kit.ts";

export interface ChainResult {
  readonly samples: number;
  /** Resident memory at the end of each tenth, in bytes. */
  readonly memory: readonly number[];
  readonly seconds: number;
}

const cam = { vhost: "default", app: "app", stream: "cam" };
/** How far the source may run ahead of the last edge: less than every queue on the way holds. */
const ahead = 2_000;

async function dial(_host: string, port: number): Promise<Duplex> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** Moves `count` samples from an origin over `hops` connections; throws when one is lost, repeated, reordered or retimed. */
export async function runChain(count: number, hops: number): Promise<ChainResult> {
  const description = { ...avDescription, tracks: avDescription.tracks.slice(0, 1) };
  const fed = new FedSource(description);
  const nodes: TestNode[] = [openTestNode("node-0", { fed: { cam: fed } })];
  const servers: Server[] = [];
  try {
    for (let hop = 1; hop <= hops; hop++) {
      const { publisher } = nodes.at(-1)!;
      const server = createServer({ noDelay: true }, (socket) => publisher.accept(socket, "127.0.0.1"));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      servers.push(server);
      const rules = { "app/cam": [`ovt://127.0.0.1:${portOf(server)}/app/cam`] };
      nodes.push(openTestNode(`node-${hop}`, { dial, rules }));
    }
    const result = await nodes.at(-1)!.hub.acquire(cam, { protocol: "whep" });
    assert.ok(result.kind === "stream");
    const { stream } = result.hold;
    assert.deepEqual(
      stream.description.path,
      nodes.slice(0, -1).map(({ nodeId }) => nodeId),
    );
    assert.equal(stream.description.originId, avDescription.originId);
    assert.equal(stream.description.epochMs, avDescription.epochMs);
    return await pump(fed, stream, count);
  } finally {
    for (const node of nodes.toReversed()) await node.close();
    for (const server of servers) server.close();
  }
}

async function pump(fed: FedSource, stream: Stream, count: number): Promise<ChainResult> {
  let received = 0;
  let wrong: string | undefined;
  stream.addReader({
    onSample(sample) {
      if (videoIndex(sample) !== received || sample.dts !== received * 3000) {
        wrong ??= `sample ${videoIndex(sample)} at ${sample.dts} came as number ${received}`;
      }
      received++;
    },
    onEnd: () => (wrong ??= "the stream ended"),
  });
  const memory: number[] = [];
  const startMs = performance.now();
  for (let sent = 0; sent < count;) {
    for (const to = Math.min(count, received + ahead); sent < to; sent++) fed.push(videoSample(sent, 100));
    await until(() => received > sent - ahead / 2 || received === count || wrong !== undefined, "the chain moves");
    if (wrong !== undefined) throw new Error(wrong);
    if (memory.length < Math.floor((received * 10) / count)) memory.push(process.memoryUsage.rss());
  }
  await until(() => received >= count || wrong !== undefined, "the last sample");
  assert.equal(wrong, undefined);
  return { samples: received, memory, seconds: (performance.now() - startMs) / 1000 };
}
