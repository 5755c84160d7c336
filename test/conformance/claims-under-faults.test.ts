// Random schedules over the claim scripts: pauses, partitions, late requests, restarts, a store that forgets, loses its
// last writes or jumps in time, and an OvenMediaEngine origin beside. `HEARTH_SEED=n` runs schedule n alone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCommand } from "../../media-node/stores/embedded/commands.ts";
import { Keyspace, type StoredValue } from "../../media-node/stores/embedded/keyspace.ts";
import { ClaimWorld, type ModelStore, type WorldFaults } from "../support/claim-world.ts";
import { seededRandom } from "../support/random.ts";
import { rawRedis } from "../support/redis-under-test.ts";
import { startRedisServer } from "../support/redis-server.ts";

const faultsOf = (seed: number): WorldFaults => ({ inStore: seed % 2 === 1, omePeer: seed % 3 === 2 });

/** The embedded store's inside on a clock that goes anywhere. */
function scriptedStore(): ModelStore & { readonly keyspace: Keyspace; readonly nowMs: () => number } {
  let nowMs = Date.UTC(2026, 0, 1);
  const keyspace = new Keyspace({ nowMs: () => nowMs, wallMs: () => nowMs, after: () => ({ cancel() {} }) }, 1_000);
  const ask = async (...command: readonly string[]): Promise<unknown> => {
    const reply = runCommand(keyspace, command);
    assert.ok(typeof reply !== "object" || reply === null || !("error" in reply), JSON.stringify(reply));
    return typeof reply === "object" && reply !== null && "status" in reply ? reply.status : reply;
  };
  return {
    keyspace,
    nowMs: () => nowMs,
    ask,
    run: ({ script, keys, args }) => ask("EVAL", script, String(keys.length), ...keys, ...args),
    advance: async (ms) => void (nowMs += ms),
    clear: async () => keyspace.clear(),
    async save() {
      const saved = keyspace.keys().map((key) => {
        const leftMs = keyspace.remainingMs(key);
        return { key, value: copyOf(keyspace.get(key)!), expiresMs: leftMs < 0 ? undefined : nowMs + leftMs };
      });
      return async () => {
        keyspace.clear();
        for (const { key, value, expiresMs } of saved) keyspace.set(key, copyOf(value), expiresMs);
      };
    },
  };
}

function copyOf(value: StoredValue): StoredValue {
  if (value.kind === "hash") return { kind: "hash", fields: new Map(value.fields) };
  if (value.kind === "zset") return { kind: "zset", scores: new Map(value.scores) };
  return value;
}

async function runSchedule(seed: number, store: ModelStore, ms: number): Promise<void> {
  try {
    await new ClaimWorld(store, seededRandom(seed), faultsOf(seed)).live(ms);
  } catch (thrown) {
    throw new Error(`schedule ${seed} failed (HEARTH_SEED=${seed} repeats it)`, { cause: thrown });
  }
}

const seedOfOne = process.env["HEARTH_SEED"];
const seeds = (count: number): number[] =>
  seedOfOne === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(seedOfOne)];

test("no two owners and no live entry lost in ten thousand schedules", async () => {
  for (const seed of seeds(10_000)) await runSchedule(seed, scriptedStore(), 40_000);
});

test("redis-server decides as the model does in two hundred of them", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer();
  stack.defer(() => server.close());
  const { raw, close } = await rawRedis(server.url);
  stack.defer(close);
  for (const seed of seeds(200)) {
    await raw("FLUSHALL");
    await runSchedule(seed, comparedStore(raw), 30_000);
  }
});

/**
 * The same commands to redis-server and to the model: every reply and all that is stored must be equal. Time is the
 * model's: the scripts read it from a key, and what the model forgot is deleted.
 */
function comparedStore(raw: (...command: readonly string[]) => Promise<unknown>): ModelStore {
  const model = scriptedStore();
  const clockKey = "test:clock";
  let known: readonly string[] = [];
  /** Not waited for: one connection keeps the order. */
  const setClock = (): Promise<unknown> => {
    const nowMs = model.nowMs();
    const keys = model.keyspace.keys();
    const gone = known.filter((key) => !keys.includes(key));
    known = keys;
    return Promise.all([
      raw("DEL", clockKey, ...gone),
      raw("RPUSH", clockKey, String(Math.floor(nowMs / 1_000)), String((nowMs % 1_000) * 1_000)),
    ]);
  };
  const compare = async (): Promise<void> => {
    const keys = (known = model.keyspace.keys());
    const count = raw("DBSIZE");
    const stored = keys.map((key) => raw(model.keyspace.get(key)!.kind === "hash" ? "HGETALL" : "GET", key));
    for (const [at, theirs] of (await Promise.all(stored)).entries()) {
      const ours = model.keyspace.get(keys[at]!)!;
      if (ours.kind === "string") assert.equal(theirs, ours.text);
      if (ours.kind === "hash") assert.deepEqual(fieldsOf(theirs as string[]), Object.fromEntries(ours.fields));
    }
    assert.equal(await count, keys.length + 1);
  };
  const both = async (theirs: Promise<unknown>, ours: Promise<unknown>): Promise<unknown> => {
    const reply = await ours;
    const compared = compare();
    assert.deepEqual(reply, await theirs);
    await compared;
    return reply;
  };
  return {
    ask: (...command) => both(raw(...command), model.ask(...command)),
    run(call) {
      const script = call.script.replace("redis.call('TIME')", `redis.call('LRANGE', '${clockKey}', 0, 1)`);
      assert.notEqual(script, call.script);
      return both(raw("EVAL", script, String(call.keys.length), ...call.keys, ...call.args), model.run(call));
    },
    async advance(ms) {
      await model.advance(ms);
      await setClock();
    },
    async clear() {
      await model.clear();
      await setClock();
    },
    async save() {
      const restore = await model.save();
      return async () => {
        await restore();
        await raw("FLUSHALL");
        for (const key of model.keyspace.keys()) {
          const value = model.keyspace.get(key)!;
          if (value.kind === "string") await raw("SET", key, value.text);
          if (value.kind === "hash") await raw("HSET", key, ...[...value.fields].flat());
        }
        await setClock();
      };
    },
  };
}

function fieldsOf(flat: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(flat.flatMap((field, at) => (at % 2 === 0 ? [[field, flat[at + 1]]] : [])));
}
