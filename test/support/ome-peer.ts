/**
 * What an OvenMediaEngine origin does to the store, as observed on the wire: it registers with GET and SET … NX, then
 * writes its keys every 2.5 s without looking, and deletes without looking.
 */
export class OmePeer {
  readonly #ask: (...command: readonly string[]) => Promise<unknown>;
  readonly #owned = new Map<string, string>();
  readonly #candidates = new Map<string, string>();
  #isFirst = true;

  constructor(ask: (...command: readonly string[]) => Promise<unknown>) {
    this.#ask = ask;
  }

  /** A stream starts. */
  async register(key: string, url: string): Promise<boolean> {
    const found = await this.#command("GET", key);
    if (found === url) return this.#own(key, url);
    if (found !== null || (await this.#command("SET", key, url, "EX", "10", "NX")) === null) {
      this.#candidates.set(key, url);
      return false;
    }
    return this.#own(key, url);
  }

  /** Every 2.5 s. */
  async refresh(): Promise<void> {
    for (const [key, url] of this.#candidates) if (await this.register(key, url)) this.#candidates.delete(key);
    for (const [key, url] of this.#owned) await this.#command("SET", key, url, "EX", "10");
  }

  /** A stream stops. */
  async unregister(key: string): Promise<void> {
    this.#candidates.delete(key);
    if (this.#owned.delete(key)) await this.#command("DEL", key);
  }

  #own(key: string, url: string): true {
    this.#owned.set(key, url);
    return true;
  }

  /** Every command but a connection's first goes after a PING. */
  async #command(...command: readonly string[]): Promise<unknown> {
    if (!this.#isFirst) await this.#ask("PING");
    this.#isFirst = false;
    return this.#ask(...command);
  }
}
