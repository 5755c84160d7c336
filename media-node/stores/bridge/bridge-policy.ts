import { lookupScript, snapshotScript } from "../../cluster/store/scripts.ts";

/** One command's words, as a client of the bridge sent them. */
export type BridgeCommand = readonly string[];

/** They only read, whatever their arguments. */
const reading = new Set(
  (
    "PING ECHO TIME DBSIZE EXISTS TYPE TTL PTTL GET MGET STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS " +
    "HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD " +
    "SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SSCAN SINTER SUNION SDIFF " +
    "ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZSCORE ZMSCORE ZRANK ZREVRANK ZCARD " +
    "ZCOUNT ZLEXCOUNT ZSCAN LRANGE LLEN LINDEX LPOS SCAN KEYS RANDOMKEY"
  ).split(" "),
);

/** They change data, and nothing else: neither the connection that all clients share nor the server. */
const writing = new Set(
  (
    "SET SETEX PSETEX SETNX MSET MSETNX GETSET GETDEL GETEX APPEND SETRANGE SETBIT INCR INCRBY INCRBYFLOAT DECR DECRBY " +
    "DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST RENAME RENAMENX " +
    "HSET HSETNX HMSET HDEL HINCRBY HINCRBYFLOAT SADD SREM SPOP SMOVE SINTERSTORE SUNIONSTORE SDIFFSTORE " +
    "ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX ZUNIONSTORE ZINTERSTORE " +
    "LPUSH LPUSHX RPUSH RPUSHX LPOP RPOP LSET LREM LTRIM LINSERT RPOPLPUSH LMOVE PUBLISH " +
    "EVAL EVALSHA EVAL_RO EVALSHA_RO SCRIPT FLUSHDB FLUSHALL"
  ).split(" "),
);

const readingScripts = new Set([snapshotScript, lookupScript]);

/** The command to run, or the error to answer. */
export type BridgeVerdict = { readonly command: BridgeCommand } | { readonly error: string };

/**
 * What becomes of a command. One connection carries all clients, so what blocks it or changes its state is refused,
 * as is all that concerns the server itself. With `readOnly`, only what surely writes nothing is run: reading commands,
 * and Hearth's reading scripts by their text.
 */
export function judgeCommand(command: BridgeCommand, readOnly: boolean): BridgeVerdict {
  const [name = "", ...args] = command;
  const upper = name.toUpperCase();
  // A Redis before 7 has no EVAL_RO; of these scripts we know that they only read.
  if ((upper === "EVAL" || upper === "EVAL_RO") && readingScripts.has(args[0] ?? "")) {
    return { command: ["EVAL", ...args] };
  }
  if (reading.has(upper)) return { command };
  if (!writing.has(upper)) return notAvailable(name);
  if (readOnly) return { error: "NOPERM this user has no permissions to run a command that writes" };
  const isKillingScripts = upper === "SCRIPT" && !/^(LOAD|EXISTS)$/i.test(args[0] ?? "");
  return isKillingScripts ? notAvailable(name) : { command };
}

function notAvailable(name: string): BridgeVerdict {
  return { error: `ERR Command is not available: '${name.slice(0, 64)}'` };
}
