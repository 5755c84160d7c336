// How many viewers can one core of a router send on their way? Redirects in raw workerd per second of its CPU time: decided on
// what the isolate remembers, and with the store asked for each stream anew; beside a Worker that answers every request with
// one and the same redirect, the least that workerd itself costs. Wanted: 8,000 and 2,500. Each figure is that of the best of
// its rounds, since whatever else runs on the machine can only add to it. Where the fixed answer shows that the machine is slow at
// the moment, they are wanted in proportion: 8,000 and 2,500 where it is given 16,000 times a second. It fails a tenth below that.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { startRouter, startWorker, type RunningRouter } from "../../infra/laptop/worker.ts";
import { httpLoad } from "../support/http-load.ts";
import { startRestStore } from "../support/rest-store.ts";
import { nodeRecord, secret } from "../support/router.ts";

const parallel = 32;
const rounds = 8;
const requests = 2_500;
const wanted = { remembered: 8_000, asked: 2_500 };
/** Fixed answers per CPU second where the wanted figures were set. */
const usualLeast = 16_000;

const store = await startRestStore(secret);
store.nodes = Array.from({ length: 10 }, (_, index) => nodeRecord(`edge${index}`, { maxViewers: 1_000_000 }));
store.knowsEveryStream = true;
const vars = { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token };
const leastWorker = `export default { fetch: () => new Response(null, { status: 302, headers: {
  Location: "http://edge1.test/app/stream/llhls.m3u8?rt=${"x".repeat(130)}", "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Location, Link, ETag, Retry-After, Accept-Patch, ID", "Cache-Control": "no-store" } }) }`;

/** The workerd under a router: the one child of the shell that guards it. */
function workerdOf({ pid }: RunningRouter): number {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .find((candidate) => readFileSync(`/proc/${candidate}/comm`, "utf8").startsWith("workerd"));
  assert.ok(child, "workerd was not found");
  return Number(child);
}

/** Nanoseconds on a CPU so far, of all threads of a process. */
function cpuNs(pid: number): number {
  const ofThread = (task: string) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + ofThread(task), 0);
}

/** Microseconds of workerd's CPU a redirect. On a busy machine the store may miss the router's deadline: that is asked again. */
async function microsecondsEach(router: RunningRouter, pathOf: (index: number) => string): Promise<number> {
  const pid = workerdOf(router);
  const before = cpuNs(pid);
  await httpLoad(Number(new URL(router.url).port), { count: requests, parallel, pathOf }, ({ status, head }) => {
    if (status === 503) return "again";
    assert.equal(status, 302, head);
    return "done";
  });
  return (cpuNs(pid) - before) / requests / 1_000;
}

// One viewer in a hundred is a line of the router's log: written, as everywhere, and read by nobody.
const log = (): void => {};
const router = await startRouter({ port: 0, vars, log });
const least = await startWorker({ port: 0, vars: {}, script: leastWorker, log });
let stream = 0;
const kinds = {
  least: () => microsecondsEach(least, () => "/app/stream/llhls.m3u8"),
  remembered: () => microsecondsEach(router, () => "/app/stream/llhls.m3u8"),
  asked: () => microsecondsEach(router, () => `/app/s${stream++}/llhls.m3u8`),
};
try {
  const best = { least: Infinity, remembered: Infinity, asked: Infinity };
  for (let round = -1; round < rounds; round++) {
    for (const kind of ["least", "remembered", "asked"] as const) {
      const us = await kinds[kind]();
      if (round >= 0) best[kind] = Math.min(best[kind], us);
    }
  }
  assert.ok(store.reads >= (rounds + 1) * requests, "every stream has to be asked for");
  const perSecond = (kind: keyof typeof best) => Math.round(1e6 / best[kind]);
  const figures = { remembered: perSecond("remembered"), asked: perSecond("asked"), least: perSecond("least"), wanted };
  console.log(
    `router-redirect: ${(best.remembered / best.least).toFixed(2)} × the CPU of a fixed answer, ` +
      `${(best.asked / best.least).toFixed(2)} × with the store asked; redirects per CPU second (load ${loadavg()[0]!.toFixed(1)})`,
    figures,
  );
  const slowness = Math.min(1, figures.least / usualLeast);
  for (const kind of ["remembered", "asked"] as const) {
    const least = Math.round(0.9 * wanted[kind] * slowness);
    if (figures[kind] >= least) continue;
    console.error(
      `router-redirect: ${figures[kind]} ${kind} a CPU second; at least ${least} are asked of this machine now`,
    );
    process.exitCode = 1;
  }
} finally {
  await Promise.all([router.close(), least.close()]);
  await store.close();
}
