import type { ServerConfig } from "./config/server-config.ts";

/**
 * A part of the node that has to make something ready before it can follow another configuration: certificates to read,
 * keys to import. What only looks settings up needs none of this and reads {@link LiveConfig.now}.
 */
export interface ReloadPart {
  /**
   * Makes ready what `next` needs and changes nothing yet: another part may still refuse.
   * @returns what switches over; called in the same turn as the others', and must not throw
   * @throws {SettingError} when `next` cannot be followed: then nobody follows it
   */
  prepare(next: ServerConfig): Promise<() => void>;
}

/**
 * The configuration as of now. A reload replaces it as a whole or not at all: who keeps a `ServerConfig` over an `await`
 * may hold yesterday's.
 */
export class LiveConfig {
  #now: ServerConfig;
  #generation = 1;
  readonly #parts = new Set<ReloadPart>();
  readonly #listeners = new Set<(now: ServerConfig) => void>();

  constructor(start: ServerConfig) {
    this.#now = start;
  }

  get now(): ServerConfig {
    return this.#now;
  }

  /** Counts the configurations taken, the first included. */
  get generation(): number {
    return this.#generation;
  }

  /** @returns takes it off again */
  addPart(part: ReloadPart): () => void {
    this.#parts.add(part);
    return () => void this.#parts.delete(part);
  }

  /** Told after every part has switched over; must not throw. */
  addListener(listener: (now: ServerConfig) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Puts `next` in force. Not to be called again before it settles.
   * @throws what a part threw that cannot follow; everything is as before then
   */
  async replace(next: ServerConfig): Promise<void> {
    const switches = await Promise.all([...this.#parts].map((part) => part.prepare(next)));
    this.#now = next;
    this.#generation++;
    for (const switchOver of switches) switchOver();
    for (const listener of this.#listeners) listener(next);
  }
}
