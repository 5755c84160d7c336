// How many viewers can one core of a router send on their way? Redirects in workerd per second of its CPU time: decided on
// what the isolate remembers, and with the store asked for each stream anew. Wanted: 8,000 and 2,500.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { setTimeout } from "node:timers/promises";
import { startRouter } from "../../infra/laptop/worker.ts";
import { startRestStore } from "../support/rest-store.ts";
import { nodeRecord, secret } from "../support/router.ts";

const parallel = 16;
const requests = 8_000;
const wanted = { remembered: 8_000, asked: 2_500 };

const store = await startRestStore(secret);
store.nodes = Array.from({ length: 10 }, (_, index) => nodeRecord(`edge${index}`, { maxViewers: 1_000_000 }));
store.knowsEveryStream = true;
const vars = { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token };
const router = await startRouter({ port: 0, vars });
const agent = new Agent({ keepAlive: true, maxSockets: parallel });

/** CPU seconds that workerd used so far; it is the one child of our child. */
function workerdCpuSeconds(): number {
  const mine = (pid: string): string[] => {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" "));
  };
  const pid = mine("self")
    .filter((child) => child !== "")
    .flatMap(mine)
    .find((child) => child !== "" && readFileSync(`/proc/${child}/comm`, "utf8").startsWith("workerd"));
  assert.ok(pid, "workerd was not found");
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function statusOf(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(`${router.url}${path}`, { agent }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    }).on("error", reject);
  });
}

/** On a machine that is busy elsewhere the store may miss the router's deadline; the router then says so for a second. */
async function redirect(path: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const status = await statusOf(path);
    if (status === 302) return;
    assert.equal(status, 503);
    await setTimeout(300);
  }
  assert.fail("the store does not answer in time: this machine is too busy to measure on");
}

async function perCpuSecond(pathOf: (index: number) => string, count: number): Promise<number> {
  const before = workerdCpuSeconds();
  let next = 0;
  const client = async () => {
    while (next < count) await redirect(pathOf(next++));
  };
  await Promise.all(Array.from({ length: parallel }, client));
  return count / (workerdCpuSeconds() - before);
}

try {
  await perCpuSecond(() => "/app/warm/llhls.m3u8", 2_000);
  const remembered = await perCpuSecond(() => "/app/stream/llhls.m3u8", requests);
  const readsBefore = store.reads;
  const asked = await perCpuSecond((index) => `/app/s${index}/llhls.m3u8`, requests / 2);
  assert.ok(store.reads - readsBefore >= requests / 2, "every stream has to be asked for");
  const figures = { remembered: Math.round(remembered), asked: Math.round(asked), wanted };
  console.log(
    `router-redirect: ${(remembered / asked).toFixed(1)} × as many without asking the store, per CPU second`,
    figures,
  );
  process.exitCode = remembered >= wanted.remembered && asked >= wanted.asked ? 0 : 1;
} finally {
  agent.destroy();
  await router.close();
  await store.close();
}
