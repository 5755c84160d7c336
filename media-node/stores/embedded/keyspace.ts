import type { Clock } from "../../time/clock.ts";

/** What a key can hold. Text is bytes as latin1 characters. */
export type StoredValue =
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "hash"; readonly fields: Map<string, string> }
  | { readonly kind: "zset"; readonly scores: Map<string, number> };

interface Entry {
  value: StoredValue;
  /** By the wall clock, as Redis keeps it. */
  expiresMs: number | undefined;
}

/** Answered to a client as it is: `ERR …`, `WRONGTYPE …`. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";

/** The keys of the embedded store: in memory, bounded in number, each with an end or without. */
export class Keyspace {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #maxKeys: number;

  constructor(clock: Clock, maxKeys: number) {
    this.#clock = clock;
    this.#maxKeys = maxKeys;
  }

  nowMs(): number {
    return Math.floor(this.#clock.wallMs());
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): StoredValue | undefined {
    return this.#live(key)?.value;
  }

  /** @throws {CommandError} when the key holds something else */
  text(key: string): string | undefined {
    const value = this.get(key);
    if (value && value.kind !== "string") throw new CommandError(wrongType);
    return value?.text;
  }

  /** @throws {CommandError} when the key holds something else */
  hash(key: string): Map<string, string> | undefined {
    const value = this.get(key);
    if (value && value.kind !== "hash") throw new CommandError(wrongType);
    return value?.fields;
  }

  /** @throws {CommandError} when the key holds something else */
  zset(key: string): Map<string, number> | undefined {
    const value = this.get(key);
    if (value && value.kind !== "zset") throw new CommandError(wrongType);
    return value?.scores;
  }

  /** The hash at `key`, made when there is none. */
  hashToWrite(key: string): Map<string, string> {
    const fields = this.hash(key) ?? new Map<string, string>();
    if (!this.#entries.has(key)) this.set(key, { kind: "hash", fields });
    return fields;
  }

  /** The sorted set at `key`, made when there is none. */
  zsetToWrite(key: string): Map<string, number> {
    const scores = this.zset(key) ?? new Map<string, number>();
    if (!this.#entries.has(key)) this.set(key, { kind: "zset", scores });
    return scores;
  }

  /** @throws {CommandError} when a new key does not fit any more */
  set(key: string, value: StoredValue, expiresMs?: number): void {
    if (!this.#entries.has(key) && this.#entries.size >= this.#maxKeys) {
      this.forgetExpired();
      if (this.#entries.size >= this.#maxKeys) {
        throw new CommandError("OOM command not allowed: the embedded store is full");
      }
    }
    this.#entries.set(key, { value, expiresMs });
  }

  delete(key: string): boolean {
    return this.#live(key) !== undefined && this.#entries.delete(key);
  }

  /** In place of what stood at `to`. @throws {CommandError} when nothing stands at `from` */
  rename(from: string, to: string): void {
    const entry = this.#live(from);
    if (!entry) throw new CommandError("ERR no such key");
    this.#entries.delete(from);
    this.#entries.set(to, entry);
  }

  /** A hash or sorted set without members is no key. */
  deleteIfEmpty(key: string): void {
    const value = this.get(key);
    if (value?.kind === "hash" && value.fields.size === 0) this.#entries.delete(key);
    if (value?.kind === "zset" && value.scores.size === 0) this.#entries.delete(key);
  }

  expireAt(key: string, expiresMs: number | undefined): boolean {
    const entry = this.#live(key);
    if (entry) entry.expiresMs = expiresMs;
    return entry !== undefined;
  }

  /** Milliseconds left; -1 without an end, -2 without the key (as PTTL). */
  remainingMs(key: string): number {
    const entry = this.#live(key);
    if (!entry) return -2;
    return entry.expiresMs === undefined ? -1 : entry.expiresMs - this.nowMs();
  }

  keys(): readonly string[] {
    this.forgetExpired();
    return [...this.#entries.keys()];
  }

  clear(): void {
    this.#entries.clear();
  }

  forgetExpired(): void {
    for (const key of this.#entries.keys()) this.#live(key);
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry?.expiresMs === undefined || entry.expiresMs > this.nowMs()) return entry;
    this.#entries.delete(key);
    return undefined;
  }
}
