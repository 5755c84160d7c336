import { viewNode, type NodeView } from "#cluster/node-choice/cluster-view.ts";
import type { NodeRecord } from "#cluster/store/contract.ts";

/** As in `cluster-view.ts`. */
const leaseS = 6;
const lateS = 3;

/** A node as it is, and as it last said it was: between the two lies what a router cannot know. */
export class SimulatedNode {
  readonly id: string;
  readonly #capacity: number;
  /** Viewers now by stream, by number. */
  readonly #watched = new Map<number, number>();
  #changed = new Set<number>();
  #viewers = 0;
  /** What the store holds of it; changes only by {@link report}. */
  readonly #published: { record: NodeRecord; streams: Record<string, number> };
  isUp = true;

  constructor(id: string, capacity: number) {
    this.id = id;
    this.#capacity = capacity;
    const streams: Record<string, number> = {};
    this.#published = { record: this.#record(streams), streams };
  }

  get viewers(): number {
    return this.#viewers;
  }

  /** Streams it carries now. */
  get pulls(): number {
    return this.#watched.size;
  }

  join(stream: number): void {
    this.#watched.set(stream, (this.#watched.get(stream) ?? 0) + 1);
    this.#changed.add(stream);
    this.#viewers++;
  }

  leave(stream: number): void {
    const left = this.#watched.get(stream)! - 1;
    if (left > 0) this.#watched.set(stream, left);
    else this.#watched.delete(stream);
    this.#changed.add(stream);
    this.#viewers--;
  }

  /** Publishes what is true now. */
  report(nameOf: (stream: number) => string): void {
    const { streams } = this.#published;
    for (const stream of this.#changed) {
      const viewers = this.#watched.get(stream);
      if (viewers === undefined) delete streams[nameOf(stream)];
      else streams[nameOf(stream)] = viewers;
    }
    this.#changed = new Set();
    this.#published.record = this.#record(streams);
  }

  /** As a router sees it that long after its last report. */
  view(ageS: number): NodeView {
    return viewNode(this.#published.record, { isSilent: ageS > leaseS, isLate: ageS > lateS });
  }

  #record(streams: Record<string, number>): NodeRecord {
    return {
      id: this.id,
      url: `https://${this.id}.example`,
      state: "serving",
      protocols: ["webrtc", "whep", "llhls"],
      region: "",
      viewers: this.#viewers,
      maxViewers: this.#capacity,
      egressBps: 0,
      cpu: 0,
      streams,
      origins: [],
      startedMs: 0,
    };
  }
}
