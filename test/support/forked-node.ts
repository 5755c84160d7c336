import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { NodeMessage } from "../../media-node/node-message.ts";
import { machineEnv, repository } from "./command.ts";

export const nodeMain = join(repository, "media-node/main.ts");
/** The environment of such a node, and of commands that speak to it. */
export const nodeEnv = { ...machineEnv(), HEARTH_OPERATOR_TOKEN: "operators" };

export interface ForkedNode {
  readonly child: ChildProcess;
  /** Resolves with code and signal. */
  readonly exit: Promise<unknown[]>;
  readonly url: string;
  readonly tlsUrl: string | undefined;
  readonly operatorPort: number;
  /** What the operators' door answers. */
  readonly ask: (path: string, init?: RequestInit) => Promise<Response>;
}

/** `hearth node` as a process of its own, once it serves; it ends with the test. */
export async function forkNode(
  t: TestContext,
  configPath: string,
  log: "ignore" | "pipe" = "ignore",
): Promise<ForkedNode> {
  const child = fork(nodeMain, ["node", "--config", configPath], {
    env: nodeEnv,
    stdio: ["ignore", log, "ignore", "ipc"],
  });
  const exit = once(child, "exit");
  t.after(async () => {
    if (child.exitCode === null && child.kill("SIGKILL")) await exit;
  });
  const [ready] = (await once(child, "message")) as [NodeMessage];
  assert.ok(ready.type === "ready" && ready.operatorPort !== undefined && ready.url !== undefined);
  const { url, tlsUrl, operatorPort } = ready;
  const headers = { authorization: "Bearer operators" };
  const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${operatorPort}${path}`, { headers, ...init });
  return { child, exit, url, tlsUrl, operatorPort, ask };
}
