// Loaded into a node before its own code (`--import`), in every thread: on SIGUSR2 all threads collect their garbage, and
// the process writes what is left to the file named in MEMORY_PROBE_FILE. Part of no product.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BroadcastChannel, isMainThread } from "node:worker_threads";

/** Of one process, all its threads, after a forced collection. */
export interface MemoryLeft {
  /** That took part. */
  readonly threads: number;
  /** JavaScript objects and code that something still refers to. */
  readonly heapBytes: number;
  /** The part of them that is code and what the compiler knows of it: grows while a program warms up. */
  readonly codeBytes: number;
  /** Given out by `malloc`: buffers, OpenSSL, the runtime. */
  readonly nativeBytes: number;
  /** Resident pages that belong to no file, free ones between used ones included. */
  readonly anonymousBytes: number;
  readonly rssBytes: number;
}

/** Within this time a thread that is not blocked has answered. */
const answerMs = 1_500;

setFlagsFromString("--expose-gc");
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what that flag adds to new contexts
const collect = runInNewContext("gc") as (how: { type: "major"; flavor: "last-resort" }) => void;
const channel = new BroadcastChannel("memory-probe");
channel.unref();

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- between threads there is none
const post = (message: unknown): void => channel.postMessage(message);

interface Heap {
  readonly used: number;
  readonly code: number;
}

function heapLeft(): Heap {
  // Again and again until nothing more comes free: one collection leaves what only finalizers let go of, and code that was idle.
  collect({ type: "major", flavor: "last-resort" });
  const code = getHeapSpaceStatistics()
    .filter(({ space_name: name }) => /^(code|trusted)_/.test(name))
    .reduce((sum, { space_used_size: used }) => sum + used, 0);
  return { used: getHeapStatistics().used_heap_size, code };
}

/** What `malloc` has given out and not got back, all arenas and threads (glibc). */
function mallocInUse(): () => number {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a package without types that fit
  const koffi = createRequire(import.meta.url)("koffi") as {
    struct(name: string, fields: Record<string, string>): unknown;
    load(path: string): { func(prototype: string): () => Record<string, number | bigint> };
  };
  const names = [
    "arena",
    "ordblks",
    "smblks",
    "hblks",
    "hblkhd",
    "usmblks",
    "fsmblks",
    "uordblks",
    "fordblks",
    "keepcost",
  ];
  koffi.struct("mallinfo2", Object.fromEntries(names.map((name) => [name, "size_t"])));
  const mallinfo2 = koffi.load("libc.so.6").func("mallinfo2 mallinfo2()");
  return () => {
    const { uordblks, hblkhd } = mallinfo2();
    return Number(uordblks) + Number(hblkhd);
  };
}

function anonymousBytes(): number {
  return Number(/^Anonymous:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))![1]) * 1024;
}

const file = process.env["MEMORY_PROBE_FILE"];
if (!isMainThread) {
  // What the other threads answer comes here, too.
  channel.addEventListener("message", (event) => {
    if ((event as MessageEvent).data === "collect") post(heapLeft());
  });
}
if (isMainThread && file !== undefined) {
  const nativeBytes = mallocInUse();
  let heaps: Heap[] = [];
  channel.addEventListener("message", (event) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only other threads of this process write here
    heaps.push((event as MessageEvent & { readonly data: Heap }).data);
  });
  const write = (): void => {
    const sum = (key: keyof Heap): number => heaps.reduce((total, heap) => total + heap[key], 0);
    const left: MemoryLeft = {
      threads: heaps.length,
      heapBytes: sum("used"),
      codeBytes: sum("code"),
      nativeBytes: nativeBytes(),
      anonymousBytes: anonymousBytes(),
      rssBytes: process.memoryUsage.rss(),
    };
    writeFileSync(`${file}.new`, JSON.stringify(left));
    renameSync(`${file}.new`, file);
  };
  process.on("SIGUSR2", () => {
    heaps = [];
    post("collect");
    setTimeout(() => {
      heaps.push(heapLeft());
      write();
    }, answerMs);
  });
}
