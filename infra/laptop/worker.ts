import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { bundleRouter, workerdPath } from "./bundle-router.ts";
import { workerdConfig } from "./workerd-config.ts";

export interface RouterOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Address to listen on; loopback unless said otherwise. */
  readonly host?: string;
  /** Environment of the Worker: `HEARTH_SECRET`, `UPSTASH_REDIS_REST_URL`, … */
  readonly vars: Readonly<Record<string, string>>;
  /** Folder of the page; without it `/` is not found. */
  readonly assetsDir?: string;
  /** Text of a Server.xml; handed to the Worker as `SERVER_XML`. */
  readonly serverXml?: string;
  /** `host:port` of a data centre's cache; without it the router's memory ends with the process. */
  readonly cacheAddress?: string;
  /** Whether each player's managed signalling has an object of its own, as deployed; yes unless told otherwise. */
  readonly hasPlayerObjects?: boolean;
  /** Takes what workerd prints, line by line; standard error by default. */
  readonly log?: (line: string) => void;
}

/** ES modules as text. */
interface WorkerTexts {
  readonly script: string;
  /** Serves the page; needed with `assetsDir`. */
  readonly assets?: string;
}

/** A router that answers. */
export interface RunningRouter {
  /** `http://host:port`, without a slash at the end. */
  readonly url: string;
  /** Of the process that workerd is a child of. */
  readonly pid: number;
  /** Resolves when the process ended by itself, with its exit code. */
  readonly exited: Promise<number | null>;
  /** Ends it; resolves when the process is gone. May be called twice. */
  close(): Promise<void>;
}

const compatibilityDate = "2026-09-01";
const startDeadlineMs = 15_000;

/**
 * Runs `functions/` in workerd, the runtime of Cloudflare Workers, as a child of this process.
 * @throws {Error} that names HEARTH_ROUTER_PORT when the port is in use
 */
export async function startRouter(options: RouterOptions): Promise<RunningRouter> {
  return startWorker({ hasPlayerObjects: true, ...options, ...(await bundleRouter()) });
}

/** As {@link startRouter}, for a Worker that is there as text: `script`, an ES module. */
export async function startWorker(options: RouterOptions & WorkerTexts): Promise<RunningRouter> {
  const {
    port,
    host = "127.0.0.1",
    vars,
    assetsDir,
    serverXml,
    cacheAddress,
    hasPlayerObjects = false,
    script,
    assets = "",
    log = (line) => process.stderr.write(`${line}\n`),
  } = options;
  const folder = await mkdtemp(join(tmpdir(), "hearth-router-"));
  try {
    const config = workerdConfig({
      address: `${host}:${port}`,
      compatibilityDate,
      vars: serverXml === undefined ? vars : { ...vars, SERVER_XML: serverXml },
      assetsDir: assetsDir && resolve(assetsDir),
      cacheAddress,
      hasPlayerObjects,
    });
    // The folder is ours alone (mkdtemp: 0700) and gone once workerd has read it: the configuration holds the secret.
    await Promise.all([
      writeFile(join(folder, "router.js"), script),
      writeFile(join(folder, "assets.js"), assets),
      writeFile(join(folder, "config.capnp"), config),
    ]);
    return await run(join(folder, "config.capnp"), host, port, log);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Runs its arguments until they end or standard input does. The kernel closes that pipe however this process ends, so
 * that no router outlives its launcher and holds the port.
 */
const endWithStdin = `
exec 4<&0
"$@" </dev/null 4<&- &
program=$!
( read -r _; kill "$program" 2>/dev/null ) <&4 3>&- >/dev/null 2>&1 &
wait "$program"`;

async function run(config: string, host: string, port: number, log: (line: string) => void): Promise<RunningRouter> {
  const child = spawn("/bin/sh", ["-c", endWithStdin, "sh", workerdPath(), "serve", "--control-fd=3", config], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  const exited = once(child, "exit").then(([code]) => {
    child.stdin.destroy();
    return typeof code === "number" ? code : null;
  });
  const close = async () => {
    child.stdin.destroy();
    await exited;
  };
  const printed: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    eachLine(stream, (line) => {
      if (printed.length < 20) printed.push(line);
      log(line);
    });
  }
  try {
    const actualPort = await listening(child, exited, printed, port);
    return { url: `http://${host}:${actualPort}`, pid: child.pid!, exited, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Waits for workerd's word on its control channel that it listens. */
async function listening(
  child: ChildProcess,
  exited: Promise<number | null>,
  printed: string[],
  port: number,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  eachLine(child.stdio[3] as Readable, (line) => {
    const port = /"event":\s*"listen".*"port":\s*(\d+)/.exec(line)?.[1];
    if (port) resolve(Number(port));
  });
  child.once("error", reject);
  void exited.then((code) => reject(new Error(startProblem(printed.join("\n"), port, code))));
  const deadline = setTimeout(
    () => reject(new Error(`workerd did not start within ${startDeadlineMs / 1000} s`)),
    startDeadlineMs,
  );
  try {
    return await promise;
  } finally {
    clearTimeout(deadline);
  }
}

function startProblem(printed: string, port: number, code: number | null): string {
  if (/address already in use/i.test(printed))
    return `port ${port} is in use: end what listens there, or set HEARTH_ROUTER_PORT to a free port`;
  if (/permission denied/i.test(printed))
    return `port ${port} is not allowed for this user: set HEARTH_ROUTER_PORT to one above 1023`;
  return `workerd ended with code ${code} before it listened: ${printed.slice(0, 2_000)}`;
}

/** Calls `take` for every whole line; a line is cut at 64 KiB. */
function eachLine(stream: Readable, take: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() ?? "").slice(0, 65_536);
    lines.forEach(take);
  });
}
