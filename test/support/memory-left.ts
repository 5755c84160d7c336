import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { MemoryLeft } from "./memory-probe.ts";
import { until } from "./until.ts";

/** Asks a process of this machine. */
export class MemoryProbe implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "hearth-memory-"));

  /** For the process that will be asked. */
  get env(): Readonly<Record<string, string>> {
    return {
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "memory-probe.ts")).href}`,
      MEMORY_PROBE_FILE: this.#file,
    };
  }

  get #file(): string {
    return join(this.#folder, "left.json");
  }

  /** @param pid of a process that runs with {@link env} */
  async read(pid: number): Promise<MemoryLeft> {
    rmSync(this.#file, { force: true });
    process.kill(pid, "SIGUSR2");
    const text = await until("the node says what memory it holds", 10_000, () => readIfThere(this.#file));
    return JSON.parse(text) as MemoryLeft;
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
