// The yardstick in C beside a benchmark of writes: compiled when there is a compiler, given what to write and when.
import { fork, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/**
 * What the kernel alone takes for writes to so many connections, whose other ends are a process of their own.
 * @param writes milliseconds from the start and bytes, in order; each is made to every connection
 * @returns undefined where there is no C compiler
 */
export async function kernelCost(
  connections: number,
  writes: readonly (readonly [ms: number, bytes: number])[],
): Promise<{ readonly cpuSeconds: number; readonly bytes: number } | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-plain-"));
  let sink: ChildProcess | undefined;
  try {
    const binary = join(folder, "plain-writer");
    const source = join(import.meta.dirname, "../bench/plain-writer.c");
    if (spawnSync("cc", ["-O2", "-o", binary, source], { stdio: "inherit" }).status !== 0) return undefined;
    const writer = spawn(binary, [String(connections)], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: writer.stdout })[Symbol.asyncIterator]();
    const port = String((await lines.next()).value);
    sink = fork(import.meta.filename, ["sink", port, String(connections)]);
    writer.stdin.end(writes.map(([ms, bytes]) => `${Math.round(ms)} ${Math.round(bytes)}`).join("\n"));
    const [cpuSeconds = 0, bytes = 0] = String((await lines.next()).value)
      .split(" ")
      .map(Number);
    await once(writer, "exit");
    return { cpuSeconds, bytes };
  } finally {
    sink?.kill();
    await rm(folder, { recursive: true, force: true });
  }
}

const [role, port, count] = process.argv.slice(2);
if (role === "sink" && process.argv[1] === import.meta.filename) {
  for (let opened = 0; opened < Number(count); opened++) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
  }
}
