import { spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

export const repository = join(import.meta.dirname, "../..");

/** A command that runs, with what it printed so far. */
export class RunningCommand {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stdout = "";
  stderr = "";

  constructor(command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    this.child = spawn(command, args, {
      cwd: options.cwd ?? repository,
      env: options.env ?? machineEnv(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.exit = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => resolve({ code, signal }));
    });
  }

  /** Resolves with the URL of the ready line; rejects with what was printed when the command ends before it. */
  ready(withinMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not ready in ${withinMs} ms: ${this.stdout}${this.stderr}`)),
        withinMs,
      );
      const look = (): void => {
        const url = /^Hearth is ready: (http:\/\/\S+\/)$/m.exec(this.stdout)?.[1];
        if (url) resolve(url);
        if (url) clearTimeout(timer);
      };
      this.child.stdout!.on("data", look);
      this.child.once("close", (code) => {
        clearTimeout(timer);
        reject(new Error(`ended with ${code}: ${this.stdout}${this.stderr}`));
      });
    });
  }

  /** Ends the command and all it began, whatever state it is in. May be called twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    const family = this.family().filter(isAlive);
    for (const pid of family) process.kill(pid, "SIGKILL");
    await this.exit.catch(() => {});
  }

  /** Every process that this one began, itself included. */
  family(): number[] {
    const parents = new Map(
      readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .flatMap((name): [number, number][] => {
          try {
            const stat = readFileSync(`/proc/${name}/stat`, "utf8");
            return [[Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])]];
          } catch {
            return [];
          }
        }),
    );
    const family = new Set([this.child.pid!]);
    for (let grown = true; grown;) {
      grown = false;
      for (const [pid, parent] of parents) if (family.has(parent) && !family.has(pid)) grown = Boolean(family.add(pid));
    }
    return [...family];
  }
}

/** The environment as a person's shell has it: without what npm and the test runner put in front of PATH. */
export function machineEnv(over: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_(OPTIONS|TEST_|V8_|COMPILE)|INIT_CWD|HEARTH_|REDIS_URL)/i.test(name),
  );
  const env = Object.fromEntries(kept);
  const path = (env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  return { ...env, PATH: path.join(delimiter), ...over };
}

/** Whether a process is there and not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}
