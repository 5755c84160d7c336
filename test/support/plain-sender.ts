// The yardstick in C beside a sending benchmark: compiled when there is a compiler, driven over its standard input.
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Packets that go to every viewer at one time. */
export interface PlainEvent {
  /** After the beginning of the pattern. */
  readonly atMs: number;
  /** Payload bytes of each packet, 1,200 at most. */
  readonly sizes: readonly number[];
}

export interface PlainCost {
  /** Packets, over all viewers. */
  readonly packets: number;
  readonly cpuMicroseconds: number;
  readonly bytes: number;
}

export interface PlainSender extends AsyncDisposable {
  /** Sends frames for so many CPU milliseconds, or one frame for 0. @returns CPU microseconds for one packet to one viewer */
  send(cpuMs: number): Promise<number>;
  /** Sends `events` in time to all viewers, again and again for `ms`; the last event only says when the first comes again. */
  pace(events: readonly PlainEvent[], ms: number): Promise<PlainCost>;
}

/**
 * @param viewers IPv4 addresses and ports
 * @returns undefined where there is no C compiler or no libcrypto
 */
export async function openPlainSender(
  viewers: readonly { readonly address: string; readonly port: number }[],
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
  for (const { address, port } of [...viewers, { address: "0.0.0.0", port: 0 }]) {
    child.stdin.write(`${Buffer.from(address.split(".").map(Number)).readUInt32BE()} ${port}\n`);
  }
  const ask = async (command: string): Promise<PlainCost> => {
    child.stdin.write(`${command}\n`);
    const line = await lines.next();
    const [packets, cpuMicroseconds, bytes] = String(line.value).split(" ").map(Number);
    return { packets: packets!, cpuMicroseconds: cpuMicroseconds!, bytes: bytes! };
  };
  if (child.exitCode !== null) return undefined;
  return {
    send: async (cpuMs) => {
      const { packets, cpuMicroseconds } = await ask(`L ${cpuMs}`);
      return cpuMicroseconds / packets;
    },
    pace: (events, ms) => {
      for (const { atMs, sizes } of events) {
        child.stdin.write(`E ${Math.round(atMs * 1000)} ${sizes.length} ${sizes.join(" ")}\n`);
      }
      return ask(`P ${ms}`);
    },
    [Symbol.asyncDispose]: dispose,
  };
}
