import type { NodeRequest } from "./choose-node.ts";

/** A player connects within 1 s or 2, the node reports every 2 s, and a snapshot may be 1 s old. */
export const reportDelayMs = 4_000;
const slotMs = 250;
/** Streams told apart; whoever asks for more within seconds is not a herd of viewers. */
const maxStreams = 10_000;

/** Viewers by node. */
type Counts = Map<string, number>;

interface Slot {
  readonly startMs: number;
  readonly counts: Counts;
  readonly byStream: Map<string, Counts>;
}

/**
 * Viewers sent to nodes that the nodes' own reports cannot count yet: without them, everyone who asks between two reports
 * would be sent to the same "idle" node. Time is handed in; memory is bounded by the nodes that exist and by what is asked for
 * within seconds.
 */
export class RecentAssignments {
  #slots: Slot[] = [];
  /** Kept as sums, because every decision reads them. */
  readonly #totals: Counts = new Map();
  readonly #byStream = new Map<string, Counts>();

  /**
   * Counts one viewer sent to `node` at `nowMs`.
   * @param stream `vhost/app/stream`
   */
  add(node: string, stream: string, nowMs: number): void {
    this.#forget(nowMs);
    let slot = this.#slots.at(-1);
    if (!slot || nowMs - slot.startMs >= slotMs) {
      slot = { startMs: nowMs, counts: new Map(), byStream: new Map() };
      this.#slots.push(slot);
    }
    count(slot.counts, node);
    count(this.#totals, node);
    if (this.#byStream.size >= maxStreams && !this.#byStream.has(stream)) return;
    count(countsOf(slot.byStream, stream), node);
    count(countsOf(this.#byStream, stream), node);
  }

  /** Both counts as a decision about `stream` takes them. */
  about(stream: string, nowMs: number): Pick<NodeRequest, "assigned" | "assignedToStream"> {
    return { assigned: this.counts(nowMs), assignedToStream: this.#byStream.get(stream) };
  }

  /** Viewers sent to each node within the last {@link reportDelayMs}; a view, true until the next call of anything here. */
  counts(nowMs: number): ReadonlyMap<string, number> {
    this.#forget(nowMs);
    return this.#totals;
  }

  /** A clock that was set back forgets everything, too: better than counting it for ever. */
  #forget(nowMs: number): void {
    while (this.#slots[0] && Math.abs(nowMs - this.#slots[0].startMs) >= reportDelayMs) {
      const { counts, byStream } = this.#slots.shift()!;
      subtract(this.#totals, counts);
      for (const [stream, ofStream] of byStream) {
        const left = this.#byStream.get(stream)!;
        subtract(left, ofStream);
        if (left.size === 0) this.#byStream.delete(stream);
      }
    }
  }
}

function count(counts: Counts, node: string): void {
  counts.set(node, (counts.get(node) ?? 0) + 1);
}

function countsOf(streams: Map<string, Counts>, stream: string): Counts {
  let counts = streams.get(stream);
  if (!counts) streams.set(stream, (counts = new Map()));
  return counts;
}

function subtract(from: Counts, counts: Counts): void {
  for (const [node, count] of counts) {
    const left = from.get(node)! - count;
    if (left > 0) from.set(node, left);
    else from.delete(node);
  }
}
