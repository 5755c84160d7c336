import type { RespValue } from "../resp/resp-value.ts";
import { CommandError, type Keyspace } from "./keyspace.ts";
import { scriptTwins, type ScriptTwin } from "./script-twins.ts";
import { createHash } from "node:crypto";

type Command = (keyspace: Keyspace, args: readonly string[]) => RespValue;

/** Fields of one hash, members of one sorted set. */
const maxMembers = 65_536;
const tooManyMembers = "OOM command not allowed: a hash or sorted set of the embedded store is full";
const ok = { status: "OK" } as const;
const twinBySha = new Map(
  [...scriptTwins].map(([script, twin]) => [createHash("sha1").update(script).digest("hex"), twin] as const),
);

/** What the embedded store can do, beside what concerns one connection (`AUTH`, `MULTI`, …). */
const commands: Readonly<
  Record<string, { readonly minArgs: number; readonly maxArgs: number; readonly run: Command }>
> = {
  PING: { minArgs: 0, maxArgs: 1, run: (_, [text]) => text ?? { status: "PONG" } },
  ECHO: { minArgs: 1, maxArgs: 1, run: (_, [text]) => text! },
  TIME: {
    minArgs: 0,
    maxArgs: 0,
    run: (keyspace) => {
      const nowMs = keyspace.nowMs();
      return [String(Math.floor(nowMs / 1_000)), String((nowMs % 1_000) * 1_000)];
    },
  },
  GET: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => keyspace.text(key!) ?? null },
  MGET: {
    minArgs: 1,
    maxArgs: Infinity,
    run: (keyspace, keys) =>
      keys.map((key) => {
        const value = keyspace.get(key);
        return value?.kind === "string" ? value.text : null;
      }),
  },
  SET: { minArgs: 2, maxArgs: 6, run: set },
  DEL: { minArgs: 1, maxArgs: Infinity, run: (keyspace, keys) => keys.filter((key) => keyspace.delete(key)).length },
  EXISTS: { minArgs: 1, maxArgs: Infinity, run: (keyspace, keys) => keys.filter((key) => keyspace.get(key)).length },
  RENAME: { minArgs: 2, maxArgs: 2, run: (keyspace, [from, to]) => (keyspace.rename(from!, to!), ok) },
  TYPE: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => ({ status: keyspace.get(key!)?.kind ?? "none" }) },
  TTL: {
    minArgs: 1,
    maxArgs: 1,
    run: (keyspace, [key]) => {
      const leftMs = keyspace.remainingMs(key!);
      return leftMs < 0 ? leftMs : Math.round(leftMs / 1_000);
    },
  },
  PTTL: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => keyspace.remainingMs(key!) },
  EXPIRE: { minArgs: 2, maxArgs: 2, run: (keyspace, [key, seconds]) => expire(keyspace, key!, seconds!, 1_000) },
  PEXPIRE: { minArgs: 2, maxArgs: 2, run: (keyspace, [key, ms]) => expire(keyspace, key!, ms!, 1) },
  KEYS: { minArgs: 1, maxArgs: 1, run: (keyspace, [pattern]) => keyspace.keys().filter(globOf(pattern!)) },
  HSET: { minArgs: 3, maxArgs: Infinity, run: hset },
  HGET: { minArgs: 2, maxArgs: 2, run: (keyspace, [key, field]) => keyspace.hash(key!)?.get(field!) ?? null },
  HGETALL: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => [...(keyspace.hash(key!) ?? [])].flat() },
  HLEN: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => keyspace.hash(key!)?.size ?? 0 },
  HDEL: { minArgs: 2, maxArgs: Infinity, run: hdel },
  ZCARD: { minArgs: 1, maxArgs: 1, run: (keyspace, [key]) => keyspace.zset(key!)?.size ?? 0 },
  ZSCORE: { minArgs: 2, maxArgs: 2, run: (keyspace, [key, member]) => asText(keyspace.zset(key!)?.get(member!)) },
  ZADD: { minArgs: 3, maxArgs: 3, run: zadd },
  DBSIZE: { minArgs: 0, maxArgs: 0, run: (keyspace) => keyspace.keys().length },
  FLUSHALL: { minArgs: 0, maxArgs: 1, run: flush },
  FLUSHDB: { minArgs: 0, maxArgs: 1, run: flush },
  SELECT: {
    minArgs: 1,
    maxArgs: 1,
    run: (_, [database]) => (database === "0" ? ok : { error: "ERR DB index is out of range" }),
  },
  COMMAND: { minArgs: 0, maxArgs: Infinity, run: () => [] },
  CLIENT: { minArgs: 1, maxArgs: Infinity, run: (_, [what]) => (what!.toUpperCase() === "ID" ? 1 : ok) },
  INFO: { minArgs: 0, maxArgs: Infinity, run: (keyspace) => info(keyspace) },
  SCRIPT: { minArgs: 1, maxArgs: Infinity, run: script },
  EVAL: {
    minArgs: 2,
    maxArgs: Infinity,
    run: (keyspace, args) => runScript(keyspace, scriptTwins.get(args[0]!), args),
  },
  EVALSHA: { minArgs: 2, maxArgs: Infinity, run: runBySha },
};

/** Runs one command, given as its words. What cannot be done is an error reply, never thrown. */
export function runCommand(keyspace: Keyspace, [name = "", ...args]: readonly string[]): RespValue {
  const problem = commandProblem(name, args.length);
  if (problem !== undefined) return { error: problem };
  try {
    return commands[name.toUpperCase()]!.run(keyspace, args);
  } catch (thrown) {
    if (thrown instanceof CommandError) return { error: thrown.message };
    throw thrown;
  }
}

/** Why a command would be refused before it runs, as an error reply's text. */
export function commandProblem(name: string, argumentCount: number): string | undefined {
  const upper = name.toUpperCase();
  const command = Object.hasOwn(commands, upper) ? commands[upper]! : undefined;
  if (!command) return `ERR unknown command '${name.slice(0, 64)}'`;
  if (argumentCount >= command.minArgs && argumentCount <= command.maxArgs) return undefined;
  return `ERR wrong number of arguments for '${upper.toLowerCase()}' command`;
}

function set(keyspace: Keyspace, [key, text, ...options]: readonly string[]): RespValue {
  let expiresMs: number | undefined;
  let condition: string | undefined;
  for (let at = 0; at < options.length; at++) {
    const option = options[at]!.toUpperCase();
    if (option === "NX" || option === "XX") {
      if (condition !== undefined) throw new CommandError("ERR syntax error");
      condition = option;
    } else if ((option === "EX" || option === "PX") && expiresMs === undefined && at + 1 < options.length) {
      const count = wholeNumber(options[++at]!);
      if (count <= 0) throw new CommandError("ERR invalid expire time in 'set' command");
      expiresMs = keyspace.nowMs() + count * (option === "EX" ? 1_000 : 1);
    } else {
      throw new CommandError("ERR syntax error");
    }
  }
  const isThere = keyspace.get(key!) !== undefined;
  if ((condition === "NX" && isThere) || (condition === "XX" && !isThere)) return null;
  keyspace.set(key!, { kind: "string", text: text! }, expiresMs);
  return ok;
}

function expire(keyspace: Keyspace, key: string, count: string, unitMs: number): RespValue {
  return keyspace.expireAt(key, keyspace.nowMs() + wholeNumber(count) * unitMs) ? 1 : 0;
}

function hset(keyspace: Keyspace, [key, ...pairs]: readonly string[]): RespValue {
  if (pairs.length % 2 !== 0) throw new CommandError("ERR wrong number of arguments for 'hset' command");
  const fields = keyspace.hashToWrite(key!);
  const before = fields.size;
  if (before + pairs.length / 2 > maxMembers) throw new CommandError(tooManyMembers);
  for (let at = 0; at < pairs.length; at += 2) fields.set(pairs[at]!, pairs[at + 1]!);
  return fields.size - before;
}

function hdel(keyspace: Keyspace, [key, ...fields]: readonly string[]): RespValue {
  const hash = keyspace.hash(key!);
  const removed = fields.filter((field) => hash?.delete(field)).length;
  keyspace.deleteIfEmpty(key!);
  return removed;
}

function zadd(keyspace: Keyspace, [key, score, member]: readonly string[]): RespValue {
  const value = Number(score);
  if (score!.trim() === "" || Number.isNaN(value)) throw new CommandError("ERR value is not a valid float");
  const scores = keyspace.zsetToWrite(key!);
  const before = scores.size;
  if (before >= maxMembers) throw new CommandError(tooManyMembers);
  scores.set(member!, value);
  return scores.size - before;
}

function flush(keyspace: Keyspace): RespValue {
  keyspace.clear();
  return ok;
}

function info(keyspace: Keyspace): string {
  return [
    "# Server",
    "redis_version:5.0.7",
    "redis_mode:standalone",
    "# Keyspace",
    `db0:keys=${keyspace.size}`,
    "",
  ].join("\r\n");
}

function script(_: Keyspace, [what, ...rest]: readonly string[]): RespValue {
  switch (what!.toUpperCase()) {
    case "LOAD": {
      const sha = createHash("sha1")
        .update(Buffer.from(rest[0] ?? "", "latin1"))
        .digest("hex");
      return twinBySha.has(sha) ? sha : { error: unknownScript };
    }
    case "EXISTS":
      return rest.map((sha) => (twinBySha.has(sha.toLowerCase()) ? 1 : 0));
    case "FLUSH":
      return ok;
    default:
      return { error: "ERR unknown subcommand" };
  }
}

const unknownScript = "ERR the embedded store runs no scripts but Hearth's own";

function runBySha(keyspace: Keyspace, args: readonly string[]): RespValue {
  const twin = twinBySha.get(args[0]!.toLowerCase());
  return twin ? runScript(keyspace, twin, args) : { error: "NOSCRIPT No matching script. Please use EVAL." };
}

function runScript(keyspace: Keyspace, twin: ScriptTwin | undefined, args: readonly string[]): RespValue {
  if (!twin) return { error: unknownScript };
  const [, count, ...rest] = args;
  const keyCount = wholeNumber(count!);
  if (keyCount < 0 || keyCount > rest.length) {
    throw new CommandError("ERR Number of keys can't be greater than number of args");
  }
  const argCount = rest.length - keyCount;
  if (keyCount < twin.minKeys || argCount !== (twin.args ?? argCount)) {
    throw new CommandError("ERR wrong number of keys or arguments for this script");
  }
  return twin.run(keyspace, rest.slice(0, keyCount), rest.slice(keyCount));
}

function wholeNumber(text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new CommandError("ERR value is not an integer or out of range");
  return Number(text);
}

function asText(score: number | undefined): string | null {
  return score === undefined ? null : String(score);
}

/** Everything (`*`), or everything that begins with what stands before a final `*`. */
function globOf(pattern: string): (key: string) => boolean {
  if (/[*?[\]\\]/.test(pattern.slice(0, -1)) || !pattern.endsWith("*")) {
    throw new CommandError("ERR the embedded store matches prefixes only");
  }
  return (key) => key.startsWith(pattern.slice(0, -1));
}
