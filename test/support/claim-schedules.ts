import assert from "node:assert/strict";
import { runCommand } from "../../media-node/stores/embedded/commands.ts";
import { Keyspace, type StoredValue } from "../../media-node/stores/embedded/keyspace.ts";
import { ClaimWorld, type ModelStore, type WorldFaults } from "./claim-world.ts";
import { seededRandom } from "./seeded-random.ts";

const faultsOf = (seed: number): WorldFaults => ({ inStore: seed % 2 === 1, omePeer: seed % 3 === 2 });

/** The embedded store's inside on a clock that goes anywhere. */
export function scriptedStore(): ModelStore & { readonly keyspace: Keyspace; readonly nowMs: () => number } {
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

/** One life of the claim world, the same for the same seed. @throws Error that names the seed */
export async function runSchedule(seed: number, store: ModelStore, ms: number): Promise<void> {
  try {
    await new ClaimWorld(store, seededRandom(seed), faultsOf(seed)).live(ms);
  } catch (thrown) {
    throw new Error(`schedule ${seed} failed (HEARTH_SEED=${seed} repeats it)`, { cause: thrown });
  }
}
