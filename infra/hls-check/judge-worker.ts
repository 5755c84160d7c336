// The thread of judgeHls.
import { parentPort, workerData } from "node:worker_threads";
import { checkHls } from "./checks.ts";
import type { Judged, Judgement, ToJudge } from "./judge.ts";
import { observeHls } from "./observe.ts";

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort!.postMessage(await answer(workerData as ToJudge));

async function answer({ url, seconds }: ToJudge): Promise<Judged> {
  try {
    return { judgement: await judge(url, seconds) };
  } catch (thrown) {
    const { message, cause } = thrown instanceof Error ? thrown : new Error(String(thrown));
    return { failure: `${message}${cause instanceof Error ? `: ${cause.message}` : ""}` };
  }
}

async function judge(url: string, seconds: number): Promise<Judgement> {
  const record = await observeHls(url, seconds);
  const tracks = [...record.tracks].map(([uri, { reloads }]) => ({ uri, reloads: reloads.length }));
  const waits = [...record.tracks.values()].flatMap(({ reloads }) => reloads.map(({ tookMs }) => tookMs));
  return { verdicts: checkHls(record), tracks, longestReloadMs: Math.max(0, ...waits) };
}
