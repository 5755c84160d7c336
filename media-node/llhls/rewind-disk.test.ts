import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { silentLogger, type Logger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { RewindDisk, type RewindDiskOptions } from "./rewind-disk.ts";

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-rewind-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function openDisk(t: TestContext, folder: string, options: Partial<RewindDiskOptions> = {}): RewindDisk {
  const disk = new RewindDisk({ folder, clock: new ManualClock(), logger: silentLogger, ...options });
  t.after(() => disk.close());
  return disk;
}

/** What the log said as an error. */
function errorsOf(): { logger: Logger; errors: string[] } {
  const errors: string[] = [];
  const logger: Logger = { ...silentLogger, error: (message: string) => void errors.push(message) };
  return { logger, errors };
}

const bytes = (fill: number, size = 200_000): Buffer => Buffer.alloc(size, fill);
const never = (): void => assert.fail("nothing was lost");

async function contentOf(file: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of file) pieces.push(piece);
  return Buffer.concat(pieces);
}

test("what was handed in is at hand until it is written, then read from the disk, whole and in part", async (t) => {
  const disk = openDisk(t, await newFolder(t));
  const file = disk.store([bytes(1), bytes(2)], never);
  assert.equal(Buffer.concat(file.pieces!).length, 400_000);
  await disk.settled();
  assert.equal(file.pieces, undefined);
  assert.deepEqual(await contentOf(file.read(0, file.size)), Buffer.concat([bytes(1), bytes(2)]));
  assert.deepEqual(await contentOf(file.read(199_999, 200_002)), Buffer.of(1, 2, 2));
  assert.deepEqual(disk.stats, { bytes: 400_000, files: 1, lost: 0 });
});

test("a file that is being read when it is removed is read to its end", async (t) => {
  const disk = openDisk(t, await newFolder(t));
  const file = disk.store([bytes(7)], never);
  await disk.settled();
  const reading = file.read(0, file.size);
  const first = await reading.next();
  file.remove();
  await disk.settled();
  const rest = await contentOf(reading);
  assert.equal((first.value as Uint8Array).length + rest.length, 200_000);
  await assert.rejects(file.read(0, 1).next());
});

test("more than the limit of bytes: the oldest goes, and its owner is told", async (t) => {
  const folder = await newFolder(t);
  const disk = openDisk(t, folder, { maxBytes: 500_000 });
  const lost: number[] = [];
  for (const fill of [1, 2, 3]) disk.store([bytes(fill)], () => lost.push(fill));
  await disk.settled();
  assert.deepEqual(lost, [1]);
  assert.deepEqual(disk.stats, { bytes: 400_000, files: 2, lost: 0 });
  const [own] = await readdir(folder);
  assert.deepEqual((await readdir(join(folder, own!))).sort(), ["1", "2", "alive"]);
});

test("a disk that does not keep up loses what is too much for the queue, counted and logged once", async (t) => {
  const { logger, errors } = errorsOf();
  const disk = openDisk(t, await newFolder(t), { maxQueuedBytes: 450_000, logger });
  const lost: number[] = [];
  for (const fill of [1, 2, 3, 4]) disk.store([bytes(fill)], () => lost.push(fill));
  assert.deepEqual(lost, [3, 4]);
  assert.equal(disk.stats.lost, 2);
  assert.equal(errors.length, 1);
  await disk.settled();
  disk.store([bytes(5)], never);
  await disk.settled();
  assert.equal(disk.stats.files, 3);
});

test("a folder that cannot be made is logged once, with the element to change; it works as soon as it can be", async (t) => {
  const parent = await newFolder(t);
  const folder = join(parent, "a file stands here");
  await writeFile(folder, "");
  const { logger, errors } = errorsOf();
  const disk = openDisk(t, folder, { logger });
  const lost: number[] = [];
  for (const fill of [1, 2]) disk.store([bytes(fill)], () => lost.push(fill));
  await disk.settled();
  assert.deepEqual([lost, errors.length], [[1, 2], 1]);
  await rm(folder);
  const file = disk.store([bytes(3)], never);
  await disk.settled();
  assert.deepEqual(await contentOf(file.read(0, 1)), Buffer.of(3));
});

test("a full disk loses the segment that did not fit, and leaves nothing of it", async (t) => {
  const folder = await newFolder(t);
  const disk = openDisk(t, folder);
  await disk.settled();
  const [own] = await readdir(folder);
  // Every write to this device fails as on a full disk.
  execFileSync("ln", ["-s", "/dev/full", join(folder, own!, "0")]);
  const lost: number[] = [];
  disk.store([bytes(1)], () => lost.push(1));
  const after = disk.store([bytes(2)], never);
  await disk.settled();
  assert.deepEqual([lost, disk.stats.lost], [[1], 1]);
  assert.deepEqual((await readdir(join(folder, own!))).sort(), ["1", "alive"]);
  assert.equal((await contentOf(after.read(0, 3))).length, 3);
});

test("what a process that crashed left is removed, and nothing else", async (t) => {
  const folder = await newFolder(t);
  const host = hostname().replaceAll(/[^\w.]/g, "_");
  const wall = new ManualClock();
  const make = async (name: string, ageMs = 0): Promise<void> => {
    await mkdir(join(folder, name));
    const file = join(folder, name, "alive");
    await writeFile(file, "");
    const at = new Date(wall.wallMs() - ageMs);
    await utimes(file, at, at);
  };
  const dead = `hearth-rewind-${host}-${2 ** 30}-0123abcd`;
  const before = `hearth-rewind-${host}-${process.pid}-0123abcd`;
  const longSilent = "hearth-rewind-another-1-0123abcd";
  const elsewhere = "hearth-rewind-another-2-0123abcd";
  const neighbour = `hearth-rewind-${host}-${process.ppid}-0123abcd`;
  for (const name of [dead, before, elsewhere, neighbour, "films", "hearth-rewind-"]) await make(name);
  await make(longSilent, 11 * 60_000);
  const disk = openDisk(t, folder, { clock: wall });
  await disk.settled();
  const left = await readdir(folder);
  assert.deepEqual(
    [dead, before, longSilent, elsewhere, neighbour, "films", "hearth-rewind-"].filter((name) => left.includes(name)),
    [elsewhere, neighbour, "films", "hearth-rewind-"],
  );
  await disk.close();
  assert.equal((await readdir(folder)).length, 4);
  assert.equal((await readFile(join(folder, "films", "alive"))).length, 0);
});
