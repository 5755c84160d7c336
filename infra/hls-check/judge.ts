import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Verdict } from "./checks.ts";

/** What {@link judgeHls} found. */
export interface Judgement {
  readonly verdicts: readonly Verdict[];
  /** One for each playlist that the master names: how often it was reloaded. */
  readonly tracks: readonly { readonly uri: string; readonly reloads: number }[];
  /** The longest that a reload was waited for, in all tracks. */
  readonly longestReloadMs: number;
}

/** What the thread is given to do. */
export interface ToJudge {
  readonly url: string;
  readonly seconds: number;
}

/** What the thread answers; a stream that cannot be read is told with its cause. */
export type Judged = { readonly judgement: Judgement } | { readonly failure: string };

/**
 * Watches a master playlist for a while and judges what was seen, on a thread of its own: while whoever calls stands still, also a
 * server within the same process, the watch goes on, and sees that nothing comes.
 * @throws {Error} when the stream cannot be read
 */
export async function judgeHls(url: string, seconds: number): Promise<Judgement> {
  const workerData: ToJudge = { url, seconds };
  const worker = new Worker(new URL("judge-worker.ts", import.meta.url), { workerData });
  try {
    // "error" of the thread itself rejects.
    const [judged] = (await once(worker, "message")) as [Judged];
    if ("failure" in judged) throw new Error(judged.failure);
    return judged.judgement;
  } finally {
    await worker.terminate();
  }
}
