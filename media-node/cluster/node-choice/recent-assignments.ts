/**
 * Viewers sent to nodes that the nodes' own reports cannot count yet: without them, everyone who asks between two reports
 * would be sent to the same "idle" node. Time is handed in; memory is bounded by the nodes that exist.
 */
export class RecentAssignments {
  readonly #slots: { startMs: number; readonly counts: Map<string, number> }[] = [];

  /** Counts one viewer sent to `node` at `nowMs`. */
  add(node: string, nowMs: number): void {
    let slot = this.#slots.at(-1);
    if (!slot || nowMs - slot.startMs >= slotMs) {
      this.#forget(nowMs);
      slot = { startMs: nowMs, counts: new Map() };
      this.#slots.push(slot);
    }
    slot.counts.set(node, (slot.counts.get(node) ?? 0) + 1);
  }

  /** Viewers sent to each node within the last {@link reportDelayMs}. */
  counts(nowMs: number): ReadonlyMap<string, number> {
    this.#forget(nowMs);
    const sums = new Map<string, number>();
    for (const { counts } of this.#slots)
      for (const [node, count] of counts) sums.set(node, (sums.get(node) ?? 0) + count);
    return sums;
  }

  #forget(nowMs: number): void {
    while (this.#slots[0] && Math.abs(nowMs - this.#slots[0].startMs) >= reportDelayMs) this.#slots.shift();
  }
}

/** A player connects within 1 s or 2, the node reports every 2 s, and a snapshot may be 1 s old. */
export const reportDelayMs = 4_000;
const slotMs = 250;
