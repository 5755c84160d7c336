// How a node is told to go: by signal, by `hearth drain`, and by an impatient second signal.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { RunningCommand } from "../support/command.ts";
import { forkNode, nodeEnv, nodeMain, type ForkedNode } from "../support/forked-node.ts";
import { serverXml } from "../support/reload-node.ts";
import { until } from "../support/until.ts";

interface Started extends ForkedNode {
  /** Of its Server.xml. */
  readonly path: string;
  readonly report: () => Promise<{ state: string; viewers: number }>;
}

interface StartOptions {
  /** Further settings below `Hearth`. */
  readonly hearth?: string;
  readonly operatorPort?: number;
  /** Where the log goes. */
  readonly log?: "ignore" | "pipe";
}

async function startNode(
  t: TestContext,
  { hearth = "", operatorPort = 0, log = "ignore" }: StartOptions = {},
): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), "hearth-end-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "Server.xml");
  const settings = `<OperatorPort>${operatorPort}</OperatorPort>${hearth}`;
  writeFileSync(path, serverXml(1, 0).replace("<OperatorPort>0</OperatorPort>", settings));
  const node = await forkNode(t, path, log);
  const report = async () => (await node.ask("/-/drain")).json() as ReturnType<Started["report"]>;
  return { ...node, path, report };
}

/** Somebody who counts as a viewer for ten seconds, and does not move. */
async function watch({ url, report }: Started): Promise<void> {
  assert.equal((await fetch(`${url}/app/watched/llhls.m3u8`)).status, 200);
  assert.deepEqual(await report(), { state: "serving", viewers: 1 });
}

/** What load balancers are told at both doors: by viewers' port, and by the operators'. */
const readiness = ({ url, operatorPort }: Started): Promise<string[]> =>
  Promise.all(
    [url, `http://127.0.0.1:${operatorPort}`].map(async (door) => {
      const [ready, live] = await Promise.all(["readyz", "livez"].map((path) => fetch(`${door}/-/${path}`)));
      return `${ready!.status} ${(await ready!.text()).trim()}, ${live!.status} ${(await live!.text()).trim()}`;
    }),
  );

const drain = (...args: string[]): RunningCommand =>
  new RunningCommand(process.execPath, [nodeMain, "drain", ...args], { env: nodeEnv });

test("a second SIGTERM exits at once with code 1, while viewers still move", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  await watch(node);
  assert.deepEqual(await readiness(node), ["200 ready, 200 alive", "200 ready, 200 alive"]);
  node.child.kill("SIGTERM");
  await until("it drains", 10_000, async () => (await node.report()).state === "draining");
  assert.deepEqual(await readiness(node), ["503 draining, 200 alive", "503 draining, 200 alive"]);
  assert.equal((await node.report()).viewers, 1, "the first signal waits for them");
  node.child.kill("SIGTERM");
  assert.deepEqual(await node.exit, [1, null]);
});

test("hearth drain returns when the node is gone, with 0 when nobody was left", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  const command = drain("--port", String(node.operatorPort));
  assert.deepEqual(await command.exit, { code: 0, signal: null }, command.stderr);
  assert.equal(command.stdout, "The node is gone. Viewers when it began: 0, at its end: 0.\n");
  assert.deepEqual(await node.exit, [0, null]);
});

test("hearth drain --no-wait says who has to move, and the node goes on draining", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  await watch(node);
  const command = drain("--port", String(node.operatorPort), "--no-wait", "--json");
  assert.deepEqual(await command.exit, { code: 0, signal: null }, command.stderr);
  const { state, viewers, leftMs } = JSON.parse(command.stdout) as Record<string, unknown>;
  assert.deepEqual([state, viewers], ["draining", 1]);
  assert.ok(typeof leftMs === "number" && leftMs > 0);
  assert.equal((await node.report()).state, "draining");
});

test(
  "who does not move is served until DrainTimeout; hearth drain finds the node by its Server.xml and exits with 1",
  {
    timeout: 60_000,
  },
  async (t) => {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as AddressInfo;
    free.close();
    const node = await startNode(t, { hearth: "<DrainTimeout>2000</DrainTimeout>", operatorPort: port });
    await watch(node);
    const command = drain("--config", node.path);
    await until("it drains", 10_000, async () => (await node.report()).state === "draining");
    assert.equal((await fetch(`${node.url}/app/watched/llhls.m3u8`)).status, 200, "it is still served");
    assert.deepEqual(await command.exit, { code: 1, signal: null }, command.stderr);
    assert.match(
      command.stdout,
      /^The node is gone\. Viewers when it began: 1, at its end: \d\. A longer Hearth\/DrainTimeout /,
    );
    assert.deepEqual(await node.exit, [0, null]);
  },
);

test("a node whose log nobody takes any more serves on", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t, { log: "pipe" });
  const { stdout } = node.child;
  stdout!.destroy();
  await once(stdout!, "close");
  // Each viewer who comes is a line.
  await watch(node);
  assert.equal((await fetch(`${node.url}/app/watched/llhls.m3u8`)).status, 200);
  assert.deepEqual(await readiness(node), ["200 ready, 200 alive", "200 ready, 200 alive"]);
});

test("hearth drain of a node that refuses, or of a file that is none, exits with 2", { timeout: 60_000 }, async (t) => {
  const node = await startNode(t);
  const stranger = new RunningCommand(process.execPath, [nodeMain, "drain", "--port", String(node.operatorPort)], {
    env: { ...nodeEnv, HEARTH_OPERATOR_TOKEN: "somebody else's" },
  });
  assert.deepEqual(await stranger.exit, { code: 2, signal: null });
  assert.match(stranger.stderr, /^The node refuses \(401\)/);
  assert.equal((await node.report()).state, "serving");
  // A slip of the hand must not drain another node than was meant.
  const slip = drain("--port", "808O", "--config", node.path);
  assert.deepEqual(await slip.exit, { code: 2, signal: null });
  assert.match(slip.stderr, /^--port is "808O": give the node's OperatorPort/);
  assert.equal((await node.report()).state, "serving");
  const none = drain("--config", join(node.path, "..", "None.xml"));
  assert.deepEqual(await none.exit, { code: 2, signal: null });
});

test("hearth drain says what is missing, and exits with 2", { timeout: 60_000 }, async () => {
  const nobody = drain("--port", "1");
  assert.deepEqual(await nobody.exit, { code: 2, signal: null });
  assert.match(nobody.stderr, /^No node answers at port 1 of this machine: is the node running/);
  const nowhere = drain();
  assert.deepEqual(await nowhere.exit, { code: 2, signal: null });
  assert.match(nowhere.stderr, /^Which node\? hearth drain --config Server\.xml, or --port N$/m);
});
