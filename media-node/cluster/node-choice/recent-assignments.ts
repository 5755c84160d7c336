/** A player connects within 1 s or 2, the node reports every 2 s, and a snapshot may be 1 s old. */
export const reportDelayMs = 4_000;
const slotMs = 250;

interface Slot {
  readonly startMs: number;
  readonly counts: Map<string, number>;
}

/**
 * Viewers sent to nodes that the nodes' own reports cannot count yet: without them, everyone who asks between two reports
 * would be sent to the same "idle" node. Time is handed in; memory is bounded by the nodes that exist.
 */
export class RecentAssignments {
  #slots: Slot[] = [];
  /** Kept as sums, because every decision reads them. */
  readonly #totals = new Map<string, number>();

  /** Counts one viewer sent to `node` at `nowMs`. */
  add(node: string, nowMs: number): void {
    this.#forget(nowMs);
    let slot = this.#slots.at(-1);
    if (!slot || nowMs - slot.startMs >= slotMs) {
      slot = { startMs: nowMs, counts: new Map() };
      this.#slots.push(slot);
    }
    slot.counts.set(node, (slot.counts.get(node) ?? 0) + 1);
    this.#totals.set(node, (this.#totals.get(node) ?? 0) + 1);
  }

  /** Viewers sent to each node within the last {@link reportDelayMs}; a view, true until the next call of anything here. */
  counts(nowMs: number): ReadonlyMap<string, number> {
    this.#forget(nowMs);
    return this.#totals;
  }

  /** A clock that was set back forgets everything, too: better than counting it for ever. */
  #forget(nowMs: number): void {
    while (this.#slots[0] && Math.abs(nowMs - this.#slots[0].startMs) >= reportDelayMs) {
      for (const [node, count] of this.#slots.shift()!.counts) {
        const left = this.#totals.get(node)! - count;
        if (left > 0) this.#totals.set(node, left);
        else this.#totals.delete(node);
      }
    }
  }
}
