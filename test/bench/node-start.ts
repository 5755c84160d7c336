// How long from starting a node's process until it is ready? The middle of nine starts, without a store; compiled code is
// on disk after the first, as on a machine that restarts its node.
// Wanted: <= 500 ms.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../infra/laptop/node-process.ts";

const configPath = join(import.meta.dirname, "../../infra/laptop/edge.xml");
// As the service unit and npm start set it.
const cache = mkdtempSync(join(tmpdir(), "hearth-compiled-"));
const times: number[] = [];
for (let round = 0; round < 10; round++) {
  const env = { REDIS_URL: "redis://127.0.0.1:1", HEARTH_LOG_LEVEL: "error", NODE_COMPILE_CACHE: cache };
  const node = new NodeProcess({ id: "bench", configPath, env, onLog: () => {} });
  const startMs = performance.now();
  const { operatorPort } = await node.start();
  const ready = await fetch(`http://127.0.0.1:${operatorPort}/-/readyz`);
  if (ready.status !== 200) throw new Error(`readyz says ${ready.status}`);
  if (round > 0) times.push(performance.now() - startMs);
  await node.stop();
}
rmSync(cache, { recursive: true });
times.sort((a, b) => a - b);
console.log(
  `node-start: ready after ${Math.round(times[4]!)} ms (${Math.round(times[0]!)} to ${Math.round(times.at(-1)!)})`,
);
