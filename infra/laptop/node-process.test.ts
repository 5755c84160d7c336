import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { NodeProcess } from "./node-process.ts";

/** Commands cannot be started while the test runs. */
function withoutProcesses(t: TestContext): void {
  const { execPath } = process;
  process.execPath = "/nowhere/node";
  t.after(() => (process.execPath = execPath));
}

test(
  "a node that cannot be started says so, is none to stop, and can be started again",
  { timeout: 5_000 },
  async (t) => {
    withoutProcesses(t);
    const node = new NodeProcess({ id: "edge-1", configPath: "/nowhere.xml", env: {}, onLog: () => {} });
    await assert.rejects(node.start(), /ENOENT/);
    assert.equal(node.isRunning, false);
    assert.equal(await node.stop(), null);
    await assert.rejects(node.start(), /ENOENT/);
  },
);
