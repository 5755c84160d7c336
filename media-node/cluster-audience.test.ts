import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptionOf, videoTrack } from "../test/support/synthetic-stream.ts";
import { settle } from "../test/support/webrtc-room.ts";
import { ClusterAudience } from "./cluster-audience.ts";
import { StoreUnavailable, type AudienceStore } from "./cluster/store/contract.ts";
import type { StreamHolder, StreamRequest } from "./core/stream-hub.ts";
import { Stream } from "./core/stream.ts";
import { ManualClock } from "./time/manual-clock.ts";

type Held = { readonly protocol: StreamRequest["protocol"]; readonly holder: StreamHolder };

const person = (protocol: StreamRequest["protocol"], id: string): Held => ({
  protocol,
  holder: { id, address: "", sinceMs: 0, end: () => {} },
});

/** Nodes that share a store which counts as it should, without spans. */
class World implements AudienceStore {
  readonly clock = new ManualClock();
  readonly told = new Set<string>();
  readonly calls: number[] = [];
  isAway = false;

  async countAudience(_name: unknown, viewers: readonly string[]): Promise<number> {
    if (this.isAway) throw new StoreUnavailable("away");
    this.calls.push(viewers.length);
    for (const viewer of viewers) this.told.add(viewer);
    return this.told.size;
  }

  node(nodeId: string, held: Held[], store: AudienceStore | "none" = this): ClusterAudience {
    const name = { vhost: "default", app: "app", stream: "live" };
    const stream = new Stream(name, descriptionOf([videoTrack]), { clock: this.clock });
    const viewers = (): Record<string, number> => Object.fromEntries(held.map(({ protocol }) => [protocol, 1]));
    const hub = {
      list: () => [{ stream, pull: undefined, viewers: viewers(), sent: {} }],
      holders: () => held,
    };
    return new ClusterAudience({
      nodeId,
      hub,
      storeOf: () => (store === "none" ? undefined : store),
      clock: this.clock,
    });
  }

  async pass(ms = 5_000): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }
}

const live = { vhost: "default", app: "app", stream: "live" };

test("who takes playlists from two nodes is one viewer; connections of two nodes are two", async () => {
  const world = new World();
  const first = world.node("a", [
    person("llhls", "x"),
    person("llhls", "y"),
    person("hls", "z"),
    person("webrtc", "1"),
    person("ovt", "9"),
  ]);
  const second = world.node("b", [person("llhls", "y"), person("hls", "z"), person("webrtc", "1")]);
  assert.equal(first.of(live), undefined);
  await world.pass();
  await world.pass();
  assert.deepEqual([...world.told], ["x", "y", "z", "a/1", "b/1"]);
  assert.equal(first.of(live), 5);
  assert.deepEqual(second.counts, { "default/app/live": 5 });
  first.close();
  second.close();
  assert.equal(world.clock.pendingTimers, 0);
});

test("many are told of in calls that the store takes; a stream that nobody watches is not asked about", async () => {
  const world = new World();
  const held = Array.from({ length: 1_201 }, (_, i) => person("llhls", `v${i}`));
  const node = world.node("a", held);
  await world.pass();
  assert.deepEqual(world.calls, [500, 500, 201]);
  held.length = 0;
  await world.pass();
  assert.equal(world.calls.length, 3);
  assert.equal(node.of(live), undefined);
  node.close();
});

test("a store that is away, or none, leaves no old count behind", async () => {
  const world = new World();
  const node = world.node("a", [person("llhls", "x")]);
  await world.pass();
  assert.equal(node.of(live), 1);
  world.isAway = true;
  await world.pass();
  assert.equal(node.of(live), undefined);
  world.isAway = false;
  await world.pass();
  assert.equal(node.of(live), 1);
  node.close();
  const alone = new World();
  const single = alone.node("a", [person("llhls", "x")], "none");
  await alone.pass();
  assert.deepEqual(single.counts, {});
  single.close();
});
