import assert from "node:assert/strict";
import { scriptedStore } from "./claim-schedules.ts";
import type { ModelStore } from "./claim-world.ts";

/**
 * The same commands to redis-server and to the model: every reply and all that is stored must be equal. Time is the
 * model's: the scripts read it from a key, and what the model forgot is deleted.
 */
export function comparedStore(raw: (...command: readonly string[]) => Promise<unknown>): ModelStore {
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
