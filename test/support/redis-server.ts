import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
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

/** A sentinel that alone decides when the server at `masterPort`, called `name`, is gone. */
export async function startSentinel(
  masterPort: number,
  name: string,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "hearth-sentinel-"));
  const port = await freePort();
  const config = join(directory, "sentinel.conf");
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${directory}`,
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} 1`,
    `sentinel down-after-milliseconds ${name} 300`,
    `sentinel failover-timeout ${name} 2000`,
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  const child = await spawnReady([config, "--sentinel"], "+monitor master");
  return {
    port,
    async close() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function spawnServer(port: number, directory: string, settings: readonly string[]): Promise<ChildProcess> {
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory, "--daemonize", "no"];
  return spawnReady([...fixed, ...settings], "Ready to accept connections");
}

async function spawnReady(args: readonly string[], ready: string): Promise<ChildProcess> {
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", () => reject(new Error("redis-server is needed: apt-get install redis-server")));
    child.once("exit", () => reject(new Error(`redis-server did not start: ${said}`)));
    child.stdout.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_096);
      if (said.includes(ready)) resolve();
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
