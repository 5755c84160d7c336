import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import type { Sample } from "../core/sample.ts";
import {
  audioSample,
  avDescription,
  FedSource,
  openTestNode,
  portOf,
  until,
  videoSample,
} from "../../test/support/ovt-kit.ts";

const name = { vhost: "default", app: "app", stream: "cam" };

test("an edge pulls a stream over TCP with its time, identity and samples unchanged", async () => {
  const fed = new FedSource();
  const origin = openTestNode("origin", { fed: { cam: fed } });
  const server = createServer((socket) => origin.publisher.accept(socket, "127.0.0.1")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  const dial = async (host: string, port: number): Promise<Duplex> => {
    const socket = connect(port, host);
    await once(socket, "connect");
    return socket;
  };
  const edge = openTestNode("edge", { dial, rules: { "app/cam": [`ovt://127.0.0.1:${port}/app/cam`] } });
  try {
    const held = await origin.hub.acquire(name, { protocol: "llhls" });
    assert.equal(held.kind, "stream");
    for (let i = 0; i < 60; i++) fed.push(videoSample(i), audioSample(i));
    const result = await edge.hub.acquire(name, { protocol: "llhls" });
    assert.ok(result.kind === "stream");
    const { stream } = result.hold;
    const got: Sample[] = [];
    stream.addReader({ onSample: (sample) => got.push(sample), onEnd() {} });
    got.unshift(...stream.recentSamples(60_000));
    for (let i = 60; i < 90; i++) fed.push(videoSample(i), audioSample(i));
    await until(() => got.length >= 180, "all samples came");
    assert.deepEqual(
      got.map((sample) => ({ ...sample, data: Buffer.from(sample.data) })),
      Array.from({ length: 90 }, (_, i) => [videoSample(i), audioSample(i)])
        .flat()
        .map((sample) => ({ ...sample, data: Buffer.from(sample.data) })),
    );
    const { description } = stream;
    assert.equal(description.epochMs, avDescription.epochMs);
    assert.equal(description.isEpochShared, true);
    assert.equal(description.originId, "camera-1");
    assert.deepEqual(description.path, ["origin"]);
    assert.deepEqual(description.playlists, avDescription.playlists);
    assert.equal(description.tracks[0]!.video!.framerate, 30);
    assert.ok(description.tracks[0]!.bitrate > 0);
    assert.equal(origin.publisher.stats.connectionsOpened, 1);
    assert.equal(origin.publisher.stats.sessionsLive, 1);
  } finally {
    await edge.close();
    await origin.close();
    server.close();
  }
  assert.equal(origin.publisher.stats.connectionsLive, 0);
  assert.equal(origin.publisher.stats.sessionsLive, 0);
});

test("an unknown stream is a normal answer", async () => {
  const origin = openTestNode("origin");
  const edge = openTestNode("edge", {
    peers: () => ({ origin }),
    rules: { "app/none": ["ovt://origin:9000/app/none"] },
  });
  const result = await edge.hub.acquire({ ...name, stream: "none" }, { protocol: "whep" });
  assert.equal(result.kind, "not-found");
  await edge.close();
  await origin.close();
});

test("a pull in a circle is refused at once", async () => {
  const nodes: Record<string, ReturnType<typeof openTestNode>> = {};
  const rule = (to: string) => ({ "app/loop": [`ovt://${to}:9000/app/loop`] });
  for (const [id, to] of [
    ["a", "b"],
    ["b", "c"],
    ["c", "a"],
  ] as const) {
    nodes[id] = openTestNode(id, { peers: () => nodes, rules: rule(to) });
  }
  const result = await nodes["a"]!.hub.acquire({ ...name, stream: "loop" }, { protocol: "whep" });
  assert.equal(result.kind, "not-found");
  assert.equal(nodes["a"]!.publisher.stats.connectionsOpened, 1);
  for (const node of Object.values(nodes)) await node.close();
});
