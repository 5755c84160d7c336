import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Backoff } from "../../media-node/flow/backoff.ts";
import type { NodeMessage } from "../../media-node/node-message.ts";

const main = join(import.meta.dirname, "../../media-node/main.ts");

/** A laptop's node serves a handful of viewers: four of its processes together should cost less than one browser tab. */
const smallHeap = ["--max-semi-space-size=1", "--max-old-space-size=256"];

/**
 * How glibc keeps free memory, as infra/vm/hearth-node.service has it: large blocks go back to the system at once, and two arenas
 * serve all threads. Left to itself it keeps several times as much as an edge needs, and more with every hour.
 */
export const allocatorEnv = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "131072",
} as const;

export interface NodeProcessOptions {
  readonly id: string;
  readonly configPath: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of the runtime; by default those that keep a laptop's cluster small. */
  readonly flags?: readonly string[];
  /** Log lines of the node, one JSON object each. */
  readonly onLog: (line: string) => void;
  readonly onMessage?: (message: NodeMessage) => void;
}

/** How long a node may take to let go of its viewers and sockets before it is killed. */
const stopTimeoutMs = 1_500;

/** One media node as a child process. It ends with its parent, however the parent ends. */
export class NodeProcess {
  readonly id: string;
  readonly #options: NodeProcessOptions;
  #child: ChildProcess | undefined;
  #isWanted = false;
  /** Where it was reached the first time: players that know its address find it there again. */
  #place: Readonly<Record<string, string>> = {};

  constructor(options: NodeProcessOptions) {
    this.id = options.id;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Resolves when the node serves.
   * @throws Error with the node's own last words when it ends before that
   */
  async start(): Promise<Extract<NodeMessage, { type: "ready" }>> {
    if (this.#child) throw new Error(`${this.id} is running already`);
    const child = spawn(
      process.execPath,
      [...(this.#options.flags ?? smallHeap), main, "node", "--config", this.#options.configPath],
      {
        stdio: ["ignore", "pipe", "pipe", "ipc"],
        env: { ...allocatorEnv, ...process.env, HEARTH_NODE_ID: this.id, ...this.#options.env, ...this.#place },
      },
    );
    // Without file descriptors or processes there is no child, nor any pipe to it.
    if (child.pid === undefined) throw (await once(child, "error"))[0];
    this.#child = child;
    let words = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => this.#options.onLog(text));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-4_000);
    });
    this.#isWanted = true;
    return new Promise((resolve, reject) => {
      let isReady = false;
      child.once("exit", (code) => {
        if (this.#child === child) this.#child = undefined;
        const last = words.trim() || `${this.id} ended with code ${code}`;
        reject(new Error(last));
        if (!isReady || !this.#isWanted) return;
        this.#options.onLog(`${last}\n`);
        this.#startLater(new Backoff(500, 10_000));
      });
      child.on("error", reject);
      child.on("message", (message: NodeMessage) => {
        if (message.type === "ready") {
          isReady = true;
          if (message.url !== undefined)
            this.#place = { HEARTH_PUBLIC_URL: message.url, HEARTH_HTTP_PORT: new URL(message.url).port };
          resolve(message);
        }
        this.#options.onMessage?.(message);
      });
    });
  }

  /** A node that ended without being asked to comes back, as a service manager would have it. */
  #startLater(backoff: Backoff): void {
    setTimeout(() => {
      if (!this.#isWanted || this.#child) return;
      this.start().catch((thrown: Error) => {
        this.#options.onLog(`${thrown.message}\n`);
        if (this.#isWanted) this.#startLater(backoff);
      });
    }, backoff.next()).unref();
  }

  /**
   * Ends the node at once, with `SIGTERM` after it has drained, and resolves when its process is gone.
   * @returns its exit code; null when it had to be killed
   */
  async stop(signal: NodeJS.Signals = "SIGINT", withinMs = stopTimeoutMs): Promise<number | null> {
    this.#isWanted = false;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
    await gone;
    clearTimeout(timer);
    return child.exitCode;
  }
}
