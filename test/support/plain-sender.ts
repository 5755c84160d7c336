// The yardstick in C beside a sending benchmark: compiled when there is a compiler, driven over its standard input.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface PlainSender extends AsyncDisposable {
  /** Sends frames for so many CPU milliseconds, or one frame for 0. @returns CPU microseconds for one packet to one viewer */
  send(cpuMs: number): Promise<number>;
}

/** @returns undefined where there is no C compiler or no libcrypto */
export async function openPlainSender(
  ports: readonly number[],
  key: Uint8Array,
  salt: Uint8Array,
): Promise<PlainSender | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-plain-"));
  const binary = join(folder, "plain-sender");
  const source = join(import.meta.dirname, "../bench/plain-sender.c");
  const isBuilt = spawnSync("cc", ["-O2", "-o", binary, source, "-ldl"], { stdio: "inherit" }).status === 0;
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const child = isBuilt ? spawn(binary, [hex(key), hex(salt)], { stdio: ["pipe", "pipe", "inherit"] }) : undefined;
  const dispose = async (): Promise<void> => {
    child?.stdin.end();
    await rm(folder, { recursive: true, force: true });
  };
  if (!child) {
    await dispose();
    return undefined;
  }
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.on("error", () => {});
  child.stdin.write(`${ports.join("\n")}\n0\n`);
  const send = async (cpuMs: number): Promise<number> => {
    child.stdin.write(`${cpuMs}\n`);
    const line = await lines.next();
    const [packets, microseconds] = String(line.value).split(" ").map(Number);
    return microseconds! / packets!;
  };
  if (child.exitCode !== null) return undefined;
  return { send, [Symbol.asyncDispose]: dispose };
}
