// Hearth's claims beside OvenMediaEngine origins on one store, by the clock of a recording between real ones.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { scriptStore } from "../../media-node/cluster/store/script-store.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { runCommand } from "../../media-node/stores/embedded/commands.ts";
import { Keyspace } from "../../media-node/stores/embedded/keyspace.ts";
import { Registrar } from "../../media-node/stores/registrar.ts";
import { every } from "../../media-node/time/clock.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { OmePeer } from "../support/ome-peer.ts";

interface Burst {
  readonly atMs: number;
  readonly client: string;
  readonly commands: readonly (readonly string[])[];
}

/** Commands of one client that follow each other at once. */
function readBursts(): readonly Burst[] {
  const path = join(import.meta.dirname, "../fixtures/stores/origins.monitor.txt");
  const bursts: { atMs: number; endMs: number; client: string; commands: string[][] }[] = [];
  for (const line of readFileSync(path, "utf8").trim().split("\n")) {
    const [, seconds, client, rest] = /^([\d.]+) \[0 [\d.]+:(\d+)\] (.*)$/.exec(line)!;
    const atMs = Number(seconds) * 1_000;
    const command = [...rest!.matchAll(/"([^"]*)"/g)].map(([, word]) => word!);
    const open = bursts.findLast((burst) => burst.client === client && atMs - burst.endMs < 20);
    if (open) {
      open.endMs = atMs;
      open.commands.push(command);
    } else bursts.push({ atMs, endMs: atMs, client: client!, commands: [command] });
  }
  return bursts;
}

function scene() {
  const clock = new ManualClock();
  const keyspace = new Keyspace(clock, 1_000);
  const ask = async (...command: readonly string[]): Promise<unknown> => {
    const reply = runCommand(keyspace, command);
    return typeof reply === "object" && reply !== null && "status" in reply ? reply.status : reply;
  };
  const store = scriptStore({
    run: ({ script, keys, args }) => ask("EVAL", script, String(keys.length), ...keys, ...args),
    close() {},
  });
  return { clock, ask, store };
}

const name = { vhost: "default", app: "app", stream: "s360" };
const plain = "app/s360";
const claimOf = (owner: string) => ({ ...name, owner, url: `ovt://${owner}:9000/app/s360` });

test("the peer of these tests says what real origins said", async () => {
  const { clock, ask } = scene();
  const bursts = readBursts();
  const said: string[][] = [];
  const peers = new Map<string, { peer: OmePeer; isPublishing: boolean }>();
  const startMs = bursts[0]!.atMs;
  for (const { atMs, client, commands } of bursts) {
    clock.advance(Math.max(0, atMs - startMs - clock.nowMs()));
    const [first] = commands;
    if (first![0] === "set" || first![0] === "del") {
      await ask(...first!);
      continue;
    }
    let origin = peers.get(client);
    if (!origin) {
      const peer = new OmePeer(async (...command) => {
        said.push([...command]);
        return ask(...command);
      });
      peers.set(client, (origin = { peer, isPublishing: false }));
    }
    const url = `ovt://127.0.0.1:${client === "48912" ? 9000 : 9300}/app/s360`;
    if (commands.some(([word]) => word === "DEL")) {
      await origin.peer.unregister(plain);
      origin.isPublishing = false;
    } else if (origin.isPublishing) await origin.peer.refresh();
    else {
      await origin.peer.register(plain, url);
      origin.isPublishing = true;
    }
    assert.deepEqual(said.splice(0), commands, `at ${atMs - startMs} ms`);
  }
  assert.equal(peers.size, 2);
});

test("an OvenMediaEngine origin and ours serve one stream in turn, and neither disturbs the other", async () => {
  const { clock, ask, store } = scene();
  const peer = (): OmePeer => new OmePeer(ask);
  const pass = async (ms: number, check: () => Promise<void> = async () => {}): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 250) {
      clock.advance(250);
      for (let turns = 0; turns < 4; turns++) await turn();
      await check();
    }
  };
  const registrar = new Registrar({ store, clock, logger: silentLogger });

  const first = peer();
  const firstUrl = "ovt://ome-1:9000/app/s360";
  assert.equal(await first.register(plain, firstUrl), true);
  const firstTimer = every(clock, 2_500, () => void first.refresh());
  registrar.add(claimOf("ours"));
  await pass(60_000, async () => assert.equal(await ask("GET", plain), firstUrl));
  assert.deepEqual(registrar.standing(name), { kind: "standby", ownerUrl: firstUrl });
  assert.deepEqual(await store.lookup(name), [claimOf("ours").url, firstUrl]);

  await first.unregister(plain);
  await pass(2_500);
  assert.equal(await ask("GET", plain), claimOf("ours").url, "takes over within one renewal");
  assert.equal(registrar.standing(name)?.kind, "owner");

  const second = peer();
  const secondUrl = "ovt://ome-2:9000/app/s360";
  assert.equal(await second.register(plain, secondUrl), false);
  const secondTimer = every(clock, 2_500, () => void second.refresh());
  await pass(60_000, async () => assert.equal(await ask("GET", plain), claimOf("ours").url));

  await registrar.remove(name);
  await pass(2_500);
  assert.equal(await ask("GET", plain), secondUrl, "hands over to a waiting origin");

  registrar.add(claimOf("ours again"));
  registrar.add({ ...claimOf("ours"), owner: "ours-again" });
  await pass(30_000, async () => assert.equal(await ask("GET", plain), secondUrl));
  secondTimer.cancel();
  await pass(12_750);
  assert.equal(await ask("GET", plain), claimOf("ours").url, "takes over when the other died");

  await ask("FLUSHALL");
  await pass(2_500);
  assert.equal(await ask("GET", plain), claimOf("ours").url, "is back after the store was emptied");
  assert.deepEqual(await store.lookup(name), [claimOf("ours").url]);

  // An origin that believes it owns the key writes it without looking: we do not fight, and wait.
  const orphan = every(clock, 2_500, () => void ask("SET", plain, firstUrl, "EX", "10"));
  await pass(2_500);
  await pass(30_000, async () => assert.equal(await ask("GET", plain), firstUrl));
  assert.deepEqual(registrar.standing(name), { kind: "standby", ownerUrl: firstUrl });
  assert.deepEqual(await store.lookup(name), [claimOf("ours").url, firstUrl]);
  orphan.cancel();
  await pass(12_750);
  assert.equal(await ask("GET", plain), claimOf("ours").url);

  await registrar.close();
  assert.equal(await ask("GET", plain), null);
  firstTimer.cancel();
  assert.equal(clock.pendingTimers, 0);
});
