// How a node is told to go: by signal, by `hearth drain`, and by an impatient second signal.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { NodeMessage } from "../../media-node/node-message.ts";
import { machineEnv, repository, RunningCommand } from "../support/command.ts";
import { serverXml } from "../support/reload-node.ts";
import { until } from "../support/until.ts";

const main = join(repository, "media-node/main.ts");
const env = { ...machineEnv(), HEARTH_OPERATOR_TOKEN: "operators" };

interface Started {
  readonly child: ChildProcess;
  /** Resolves with code and signal. */
  readonly exit: Promise<unknown[]>;
  readonly url: string;
  readonly port: string;
  readonly report: () => Promise<{ state: string; viewers: number }>;
}

async function startNode(t: TestContext): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), "hearth-end-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "Server.xml");
  writeFileSync(path, serverXml(1, 0));
  const child = fork(main, ["node", "--config", path], { env, stdio: ["ignore", "ignore", "ignore", "ipc"] });
  const exit = once(child, "exit");
  t.after(async () => {
    if (child.exitCode === null && child.kill("SIGKILL")) await exit;
  });
  const [ready] = (await once(child, "message")) as [NodeMessage];
  assert.ok(ready.type === "ready" && ready.operatorPort !== undefined && ready.url !== undefined);
  const port = String(ready.operatorPort);
  const headers = { authorization: "Bearer operators" };
  const report = async () =>
    (await fetch(`http://127.0.0.1:${port}/-/drain`, { headers })).json() as ReturnType<Started["report"]>;
  return { child, exit, url: ready.url, port, report };
}

/** Somebody who counts as a viewer for ten seconds, and does not move. */
async function watch({ url, report }: Started): Promise<void> {
  assert.equal((await fetch(`${url}/app/watched/llhls.m3u8`)).status, 200);
  assert.deepEqual(await report(), { state: "serving", viewers: 1 });
}

const drain = (...args: string[]): RunningCommand =>
  new RunningCommand(process.execPath, [main, "drain", ...args], { env });

test("a second SIGTERM exits at once with code 1, while viewers still move", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  await watch(node);
  node.child.kill("SIGTERM");
  await until("it drains", 10_000, async () => (await node.report()).state === "draining");
  assert.equal((await node.report()).viewers, 1, "the first signal waits for them");
  node.child.kill("SIGTERM");
  assert.deepEqual(await node.exit, [1, null]);
});

test("hearth drain returns when the node is gone, with 0 when nobody was left", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  const command = drain("--port", node.port);
  assert.deepEqual(await command.exit, { code: 0, signal: null }, command.stderr);
  assert.equal(command.stdout, "The node is gone. Viewers when it began: 0, at its end: 0.\n");
  assert.deepEqual(await node.exit, [0, null]);
});

test("hearth drain --no-wait says who has to move, and the node goes on draining", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  await watch(node);
  const command = drain("--port", node.port, "--no-wait", "--json");
  assert.deepEqual(await command.exit, { code: 0, signal: null }, command.stderr);
  const { state, viewers, leftMs } = JSON.parse(command.stdout) as Record<string, unknown>;
  assert.deepEqual([state, viewers], ["draining", 1]);
  assert.ok(typeof leftMs === "number" && leftMs > 0);
  assert.equal((await node.report()).state, "draining");
});

test("hearth drain says what is missing, and exits with 2", { timeout: 60_000 }, async () => {
  const nobody = drain("--port", "1");
  assert.deepEqual(await nobody.exit, { code: 2, signal: null });
  assert.match(nobody.stderr, /^No node answers at port 1 of this machine: is the node running/);
  const nowhere = drain();
  assert.deepEqual(await nowhere.exit, { code: 2, signal: null });
  assert.match(nowhere.stderr, /^Which node\? hearth drain --config Server\.xml, or --port N$/m);
});
