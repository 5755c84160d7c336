// Viewers of one edge, polled together, and how late their pictures are.
import { getPriority, setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { EdgeUnderLoad } from "./edge-under-load.ts";
import type { LoadMedia } from "./load-media.ts";
import { LoadViewer } from "./load-viewer.ts";

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** Viewers have machines of their own: where they share the edge's, they take what it leaves, and the kernel times what they measure. */
export function yieldToEdge(): void {
  const niceness = 10;
  setPriority(Math.min(19, getPriority() + niceness));
}

export class WebRtcAudience implements Disposable {
  readonly all: LoadViewer[] = [];
  readonly #url: string;
  readonly #genuine: ReadonlySet<string>;
  readonly #ticking: NodeJS.Timeout;
  readonly #waiting = new Set<LoadViewer>();
  readonly #firstTimestamps = new Map<number, number>();
  readonly #soonest = new Map<number, number>();
  /** How long consent checks waited for their answer while {@link lateness} was measured. */
  readonly answersMs: number[] = [];
  #late: { readonly port: number; readonly delay: number }[] | undefined;

  constructor(edge: EdgeUnderLoad, { tickMs = 1 } = {}) {
    this.#url = `${edge.url.replace("http", "ws")}/app/stream`;
    this.#genuine = new Set(edge.origin.payloads);
    this.#ticking = setInterval(() => {
      const nowMs = performance.now();
      for (const viewer of this.#waiting) viewer.tick(nowMs);
    }, tickMs);
  }

  /** Resolves when all of them have their first picture. */
  async gather(count: number, perSecond: number): Promise<void> {
    const joining: Promise<LoadViewer>[] = [];
    const isGenuine = (digest: string): boolean => this.#genuine.has(digest);
    const onPicture = (timestamp: number, atMs: number, viewer: LoadMedia): void => this.#came(timestamp, atMs, viewer);
    const onAnswer = (waitMs: number): void => {
      if (this.#late) this.answersMs.push(waitMs);
    };
    const options = { checkEvery: 100, isGenuine, onPicture, onAnswer };
    for (let i = 0; i < count; i++) {
      joining.push(LoadViewer.join(this.#url, options, (viewer) => this.#waiting.add(viewer)));
      await sleep(1000 / perSecond);
    }
    this.all.push(...(await Promise.all(joining)));
  }

  /** Milliseconds that pictures came after the soonest of their port, for each picture of each viewer that reads. */
  async lateness(run: () => Promise<unknown>): Promise<readonly number[]> {
    const late: { readonly port: number; readonly delay: number }[] = [];
    this.#late = late;
    this.#soonest.clear();
    this.answersMs.length = 0;
    await run();
    this.#late = undefined;
    return late.map(({ port, delay }) => delay - this.#soonest.get(port)!);
  }

  /** Media sockets of the edge that serve somebody. */
  get ports(): number {
    return new Set(this.all.map(({ remotePort }) => remotePort)).size;
  }

  /** Decrypted and compared with what the origin published. */
  get checked(): number {
    return this.#sum(({ checked }) => checked);
  }

  get forged(): number {
    return this.#sum(({ forged }) => forged);
  }

  get lost(): number {
    return this.#sum(({ lost }) => lost);
  }

  get bytes(): number {
    return this.#sum(({ bytes }) => bytes);
  }

  /** All close the page. */
  dismiss(): void {
    for (const viewer of this.#waiting) viewer.close();
    this.#waiting.clear();
    this.all.length = 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticking);
    this.dismiss();
  }

  #sum(of: (viewer: LoadViewer) => number): number {
    return this.all.reduce((total, viewer) => total + of(viewer), 0);
  }

  #came(timestamp: number, atMs: number, { remotePort: port }: LoadMedia): void {
    if (!this.#late) return;
    // Every thread has a time line of its own; its zero is where its soonest picture was.
    const first = this.#firstTimestamps.get(port) ?? timestamp;
    this.#firstTimestamps.set(port, first);
    const delay = atMs - ((timestamp - first) | 0) / 90;
    this.#soonest.set(port, Math.min(delay, this.#soonest.get(port) ?? Infinity));
    this.#late.push({ port, delay });
  }
}
