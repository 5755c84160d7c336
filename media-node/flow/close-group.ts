/** Why something ended, as a value: passed down one cascade instead of one method a cause. */
export interface CloseReason {
  /** Stable word for counters and callers: `"unused"`, `"source-lost"`, `"drain"`, `"shutdown"`, … */
  readonly code: string;
  readonly message?: string;
}

/**
 * What an owner opened and must close. Closes in reverse order of opening, all of it even when one part throws,
 * once however often `close` is called.
 */
export class CloseGroup {
  readonly #closers: ((reason: CloseReason) => void | Promise<void>)[] = [];
  #closing: Promise<void> | undefined;

  /** Registers `closer`; on a group that is already closed it runs at once. */
  add(closer: (reason: CloseReason) => void | Promise<void>): void {
    if (this.#closing) void closer({ code: "shutdown" });
    else this.#closers.push(closer);
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** Resolves when everything added is gone; rejects with an AggregateError of what threw. */
  close(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#closeAll(reason);
    return this.#closing;
  }

  async #closeAll(reason: CloseReason): Promise<void> {
    const failures: unknown[] = [];
    for (const closer of this.#closers.toReversed()) {
      try {
        await closer(reason);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "closing failed");
  }
}
