import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Stops it without ending it: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  /** Ends it like a crash and starts it empty on the same port. */
  restartEmpty(): Promise<void>;
  /** Ends it like a crash. */
  kill(): Promise<void>;
  /** Starts it again after {@link kill}. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A redis-server of one's own on a free loopback port, in a directory of its own, keeping nothing.
 * @throws when there is no redis-server, with the remedy
 */
export async function startRedisServer(...settings: readonly string[]): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), "hearth-redis-"));
  const port = await freePort();
  let child = await spawnServer(port, directory, settings);
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  const start = async (): Promise<void> => void (child = await spawnServer(port, directory, settings));
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    kill,
    start,
    async restartEmpty() {
      await kill();
      await start();
    },
    async close() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function spawnServer(port: number, directory: string, settings: readonly string[]): Promise<ChildProcess> {
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, "--daemonize", "no"];
  const child = spawn("redis-server", [...fixed, ...settings], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", () => reject(new Error("redis-server is needed: apt-get install redis-server")));
    child.once("exit", () => reject(new Error(`redis-server did not start: ${said}`)));
    child.stdout.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_096);
      if (said.includes("Ready to accept connections")) resolve();
    });
  });
  child.removeAllListeners("exit");
  return child;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  server.close();
  await once(server, "close");
  return address.port;
}
