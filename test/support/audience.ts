// Viewers by the hundred, as real clusters have them: some watch by WebRTC over the router's managed signalling, some by LL-HLS
// with content steering, some by LL-HLS that knows nothing but its URL. They are told nothing about nodes that die.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HlsState } from "./hls-crowd-process.ts";
import { LoadViewer } from "./load-viewer.ts";
import { until } from "./until.ts";

/** One viewer, of whatever kind. */
export interface Viewer {
  readonly kind: "webrtc" | "steered" | "plain";
  /** When media last came: ms of `performance.now()`; undefined before the first. */
  readonly lastMediaMs: number | undefined;
  /** How often it went to another node. */
  readonly moves: number;
  /** What it went through last, for a report: steps and when they were done, by `performance.now()`. */
  readonly steps: readonly (readonly [step: string, atMs: number])[];
  close(): void | Promise<void>;
}

const kinds = ["webrtc", "steered", "plain"] as const;
const tickMs = 5;
/** On a busy machine the first picture may be late; a person would click again. */
const clicks = 4;
/** A viewer that got nothing for this long is not playing: parts come each half second, packets all the time. */
const playingMs = 1_500;

/** HLS viewers in a process of their own, as this one knows them: a tenth of a second late, with their own times. */
class HlsCrowd {
  readonly #process: ChildProcess = fork(fileURLToPath(new URL("hls-crowd-process.ts", import.meta.url)));
  readonly #states: HlsState[] = [];
  #count = 0;

  constructor() {
    this.#process.on("message", (news: [number, HlsState][]) => {
      for (const [at, state] of news) this.#states[at] = state;
    });
  }

  join(kind: "steered" | "plain", url: string): Viewer {
    const at = this.#count++;
    this.#process.send(url);
    const state = (): HlsState | undefined => this.#states[at];
    const here = (unixMs: number | null | undefined): number | undefined =>
      unixMs === null || unixMs === undefined ? undefined : unixMs - performance.timeOrigin;
    return {
      kind,
      get lastMediaMs() {
        return here(state()?.lastMs);
      },
      get moves() {
        return state()?.moves ?? 0;
      },
      get steps() {
        const { failures = 0, lastFailure = "", lastFailureMs, lastMasterMs } = state() ?? {};
        return [
          [`${failures} failures, the last ${lastFailure}`, here(lastFailureMs) ?? Number.NaN],
          ["has a master playlist", here(lastMasterMs) ?? Number.NaN],
        ] as const;
      },
      close() {},
    };
  }

  async close(): Promise<void> {
    const exited = once(this.#process, "exit");
    this.#process.disconnect();
    await exited;
  }
}

export class Audience {
  readonly viewers: Viewer[] = [];
  readonly #router: string;
  readonly #web = new Set<LoadViewer>();
  readonly #crowd = new HlsCrowd();
  readonly #ticking: NodeJS.Timeout;

  /** @param router its URL */
  constructor(router: string) {
    this.#router = router;
    this.#ticking = setInterval(() => {
      const nowMs = performance.now();
      for (const viewer of this.#web) viewer.tick(nowMs);
    }, tickMs);
  }

  /** A third of each kind, some at a time; resolves when all of them play. */
  async gather(count: number, { atOnce = 20, withinMs = 60_000 } = {}): Promise<void> {
    for (let from = 0; from < count; from += atOnce) {
      const some = Array.from({ length: Math.min(atOnce, count - from) }, (_, index) => kinds[(from + index) % 3]!);
      await Promise.all(some.map((kind) => this.#join(kind)));
      await until("those who joined play", withinMs, () => this.playing() >= 0.98 * this.viewers.length);
    }
  }

  /** Viewers who got media within the last second and a half. */
  playing(): number {
    const nowMs = performance.now();
    return this.viewers.filter(({ lastMediaMs }) => nowMs - (lastMediaMs ?? -Infinity) < playingMs).length;
  }

  async close(): Promise<void> {
    await Promise.all(this.viewers.map(async (viewer) => viewer.close()));
    await this.#crowd.close();
    clearInterval(this.#ticking);
  }

  async #click(url: string): Promise<LoadViewer> {
    const options = { checkEvery: 1_000_000, isGenuine: () => true };
    for (let left = clicks - 1; ; left--) {
      let opened: LoadViewer | undefined;
      try {
        return await LoadViewer.join(url, options, (viewer) => this.#web.add((opened = viewer)));
      } catch (thrown) {
        if (opened) this.#web.delete(opened);
        opened?.close();
        if (left === 0) throw thrown;
      }
    }
  }

  async #join(kind: Viewer["kind"]): Promise<void> {
    if (kind !== "webrtc") {
      this.viewers.push(
        this.#crowd.join(kind, `${this.#router}/app/stream/llhls.m3u8${kind === "steered" ? "?steering=1" : ""}`),
      );
      return;
    }
    const url = `${this.#router.replace("http", "ws")}/app/stream?managed=1`;
    const viewer = await this.#click(url);
    this.viewers.push({
      kind,
      get lastMediaMs() {
        return viewer.lastMs;
      },
      get moves() {
        return viewer.moves;
      },
      get steps() {
        return viewer.steps;
      },
      close: () => {
        this.#web.delete(viewer);
        viewer.close();
      },
    });
  }
}

/** A viewer that came to another node, and how many milliseconds it had to wait for media of it. */
export interface Moved {
  readonly viewer: Viewer;
  readonly ms: number;
}

/**
 * Watches an audience from the moment a node was taken from it.
 * @param sinceMs ms of `performance.now()` at which it was taken
 * @param expected how many were there
 * @param forMs watched at most
 * @returns who moved, the quickest first; who plays nothing at the end counts as Infinity
 */
export async function watchMoves(
  audience: Audience,
  { sinceMs, expected, forMs }: { sinceMs: number; expected: number; forMs: number },
): Promise<readonly Moved[]> {
  const before = new Map(audience.viewers.map((viewer) => [viewer, viewer.moves]));
  const backMs = new Map<Viewer, number>();
  while (backMs.size < expected && performance.now() - sinceMs < forMs) {
    await new Promise((resolve) => setTimeout(resolve, 25));
    for (const viewer of audience.viewers) {
      const { moves, lastMediaMs } = viewer;
      if (moves > before.get(viewer)! && lastMediaMs !== undefined && !backMs.has(viewer))
        backMs.set(viewer, lastMediaMs - sinceMs);
    }
  }
  for (const viewer of audience.viewers)
    if (performance.now() - (viewer.lastMediaMs ?? -Infinity) > playingMs) backMs.set(viewer, Number.POSITIVE_INFINITY);
  return [...backMs].map(([viewer, ms]) => ({ viewer, ms })).toSorted((a, b) => a.ms - b.ms);
}
