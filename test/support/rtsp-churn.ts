import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock, type Clock, type Timer } from "../../media-node/time/clock.ts";
import { dialFarm, startCameraFarm } from "./camera-farm.ts";
import { collectSource } from "./collect-source.ts";

/** What was left at some point. */
export interface Residue {
  /** In use, buffers included. RSS holds what V8 keeps in reserve, too, and levels off. */
  readonly heapBytes: number;
  readonly rssBytes: number;
  readonly sockets: number;
  readonly timers: number;
}

/** The machine's clock, which counts the timers that are set. */
class CountingClock implements Clock {
  readonly #set = new Set<Timer>();
  nowMs(): number {
    return systemClock.nowMs();
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  get pending(): number {
    return this.#set.size;
  }

  after(delayMs: number, fire: () => void): Timer {
    const inner = systemClock.after(delayMs, () => {
      this.#set.delete(timer);
      fire();
    });
    const timer = {
      cancel: () => {
        this.#set.delete(timer);
        inner.cancel();
      },
    };
    this.#set.add(timer);
    return timer;
  }
}

/**
 * Connects to `cameras` cameras at the same time, takes a few pictures of each, hangs up, and begins again, until
 * `cycles` connections have come and gone.
 * @returns what is left after each tenth of the cycles, with nothing connected
 */
export async function churnCameras(cameras: number, cycles: number): Promise<Residue[]> {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const clock = new CountingClock();
  await using farm = await startCameraFarm(5);
  const open = openRtspSource({ dial: dialFarm, clock, logger: silentLogger });
  const visit = async (): Promise<void> => {
    const source = await open(farm.url, { signal: AbortSignal.timeout(30_000) });
    await collectSource(source).until((samples) => samples.length >= 3, 30_000);
    await source.close({ code: "done" });
  };
  const residues: Residue[] = [];
  const tenth = cycles / 10;
  for (let round = 0; round < 10; round++) {
    let left = tenth;
    const visitor = async (): Promise<void> => {
      while (left-- > 0) await visit();
    };
    await Promise.all(Array.from({ length: Math.min(cameras, tenth) }, visitor));
    // Closed sockets are let go of in the turns that follow.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
    const sockets = process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length;
    residues.push({ heapBytes: heapUsed + arrayBuffers, rssBytes: rss, sockets, timers: clock.pending });
  }
  return residues;
}
