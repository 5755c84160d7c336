import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";

export interface RewindDiskOptions {
  /** Everything is written below this folder, in one of this process's own. */
  readonly folder: string;
  /** Of files, all streams together; the oldest go first. Default 20 GiB. */
  readonly maxBytes?: number;
  readonly maxFiles?: number;
  /** Of what waits to be written. Default 128 MiB. */
  readonly maxQueuedBytes?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One file, from the moment it was handed in. */
export interface StoredFile {
  readonly size: number;
  /** The bytes until they are on the disk. */
  readonly pieces: readonly Uint8Array[] | undefined;
  /**
   * The bytes from `start` to `end` (exclusive), read as they are asked for. Throws at the first of them when the file is
   * gone or too many are being read; one that was begun when it is removed is still read to its end.
   */
  read(start: number, end: number): AsyncGenerator<Uint8Array>;
  /** Removes it. */
  remove(): void;
}

export interface RewindDiskStats {
  readonly bytes: number;
  readonly files: number;
  /** Segments that could not be kept: the disk was full, too slow, or not there. */
  readonly lost: number;
}

const maxQueuedFiles = 1_024;
const maxReading = 256;
const pieceBytes = 64 * 1024;
/** Says that a folder's process lives; one that was not touched for {@link deadAfterMs} belongs to nobody. */
const mark = "alive";
const markEveryMs = 60_000;
const deadAfterMs = 10 * 60_000;
const prefix = "hearth-rewind-";
const folderName = /^hearth-rewind-(.{1,200})-(\d{1,10})-[0-9a-f]{8}$/;
/** Names of folders that this process writes into: one a setting. */
const ownNames = new Set<string>();
const host = hostname().replaceAll(/[^\w.]/g, "_");

/**
 * Segments that left the live window, as files of one folder. Nothing here is waited for by the live stream: what cannot be
 * written is lost to rewinding alone, counted, and logged once until it works again. The folder is made when the first
 * file is written; folders of processes that died are removed then, and nothing else is ever touched.
 */
export class RewindDisk {
  readonly #options: RewindDiskOptions;
  readonly #own: string;
  /** Every file, oldest first, with whom to tell when it has to go. */
  readonly #files = new Map<DiskFile, () => void>();
  readonly #queue: (() => Promise<void>)[] = [];
  readonly #marker: Timer;
  #isWorking = false;
  #isReady = false;
  #isClosed = false;
  #isFailing = false;
  #queuedBytes = 0;
  #bytes = 0;
  #lost = 0;
  #reading = 0;
  #names = 0;

  constructor(options: RewindDiskOptions) {
    this.#options = options;
    const name = `${prefix}${host}-${process.pid}-${randomBytes(4).toString("hex")}`;
    ownNames.add(name);
    this.#own = join(resolve(options.folder), name);
    this.#marker = every(options.clock, markEveryMs, () => this.#touch());
    // At the start of the node, whether anybody rewinds or not: a crash must not fill the disk for ever.
    this.#enqueue(() => this.#prepare().catch((thrown: unknown) => this.#failed(thrown)));
  }

  get stats(): RewindDiskStats {
    return { bytes: this.#bytes, files: this.#files.size, lost: this.#lost };
  }

  /**
   * Takes bytes over, to be written when their turn comes.
   * @param onLost called when they could not be kept, or had to make room: at once, or later
   */
  store(pieces: readonly Uint8Array[], onLost: () => void): StoredFile {
    const file = new DiskFile(this, pieces, join(this.#own, String(this.#names++)));
    this.#files.set(file, onLost);
    this.#bytes += file.size;
    const { maxQueuedBytes = 128 * 1024 * 1024 } = this.#options;
    const isTooMuch = this.#queuedBytes + file.size > maxQueuedBytes || this.#queue.length >= maxQueuedFiles;
    if (isTooMuch || this.#isClosed) {
      this.#lose(file, new Error("it does not keep up with what is to be written"));
      return file;
    }
    this.#queuedBytes += file.size;
    this.#enqueue(async () => {
      if (this.#files.has(file)) await this.#write(file);
      this.#queuedBytes -= file.size;
    });
    this.#makeRoom();
    return file;
  }

  /** Resolves when all that was handed in so far is on the disk, or lost. */
  settled(): Promise<void> {
    return new Promise((resolveSettled) => this.#enqueue(async () => resolveSettled()));
  }

  /** Removes every file of this process. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#marker.cancel();
    this.#files.clear();
    this.#bytes = 0;
    await this.settled();
    await rm(this.#own, { recursive: true, force: true }).catch(() => {});
  }

  /** @throws when too many are read at once */
  async *read(path: string, start: number, end: number): AsyncGenerator<Uint8Array> {
    if (this.#reading >= maxReading) throw new Error("too many files are being read");
    this.#reading++;
    try {
      await using handle = await open(path, "r");
      for (let at = start; at < end;) {
        const buffer = Buffer.allocUnsafeSlow(Math.min(pieceBytes, end - at));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) throw new Error(`${path} ends early`);
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      this.#reading--;
    }
  }

  remove(file: DiskFile): void {
    if (!this.#files.delete(file)) return;
    this.#bytes -= file.size;
    this.#enqueue(() => rm(file.path, { force: true }).catch(() => {}));
  }

  #enqueue(job: () => Promise<void>): void {
    this.#queue.push(job);
    if (!this.#isWorking) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    for (let job = this.#queue.shift(); job; job = this.#queue.shift()) await job();
    this.#isWorking = false;
  }

  async #write(file: DiskFile): Promise<void> {
    try {
      await this.#prepare();
      await writePieces(file);
    } catch (thrown) {
      await rm(file.path, { force: true }).catch(() => {});
      this.#lose(file, thrown);
      return;
    }
    file.pieces = undefined;
    if (this.#isFailing) this.#options.logger.info("rewinding works again", { folder: this.#options.folder });
    this.#isFailing = false;
  }

  async #prepare(): Promise<void> {
    if (this.#isReady || this.#isClosed) return;
    await mkdir(this.#own, { recursive: true, mode: 0o700 });
    await writeFile(join(this.#own, mark), "");
    this.#isReady = true;
    await removeLeftovers(resolve(this.#options.folder), this.#options.clock.wallMs());
  }

  #lose(file: DiskFile, thrown: unknown): void {
    const onLost = this.#files.get(file);
    if (!onLost) return;
    this.#files.delete(file);
    this.#bytes -= file.size;
    this.#lost++;
    this.#failed(thrown);
    onLost();
  }

  #failed(thrown: unknown): void {
    // The folder may have been taken away: the next file tries to make it anew.
    this.#isReady = false;
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#options.logger.error("segments cannot be kept for rewinding; live goes on", {
      folder: this.#options.folder,
      error: messageOf(thrown),
      remedy:
        "make room in LLHLS/DVR/TempStoragePath of Server.xml and let this process write there, or name another folder",
    });
  }

  #makeRoom(): void {
    const { maxBytes = 20 * 1024 ** 3, maxFiles = 200_000 } = this.#options;
    for (const [file, onLost] of this.#files) {
      if (this.#bytes <= maxBytes && this.#files.size <= maxFiles) return;
      this.remove(file);
      onLost();
    }
  }

  #touch(): void {
    if (!this.#isReady) return;
    const now = new Date(this.#options.clock.wallMs());
    this.#enqueue(() => utimes(join(this.#own, mark), now, now).catch(() => void (this.#isReady = false)));
  }
}

class DiskFile implements StoredFile {
  readonly path: string;
  readonly size: number;
  pieces: readonly Uint8Array[] | undefined;
  readonly #disk: RewindDisk;

  constructor(disk: RewindDisk, pieces: readonly Uint8Array[], path: string) {
    this.#disk = disk;
    this.path = path;
    this.pieces = pieces;
    this.size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  read(start: number, end: number): AsyncGenerator<Uint8Array> {
    return this.#disk.read(this.path, start, end);
  }

  remove(): void {
    this.#disk.remove(this);
  }
}

async function writePieces({ path, pieces = [], size }: DiskFile): Promise<void> {
  await using handle = await open(path, "w", 0o600);
  let written = 0;
  for (const piece of pieces) written += (await handle.writeFile(piece), piece.length);
  const { size: found } = await handle.stat();
  if (found !== size || written !== size) throw new Error(`${path} was cut short`);
}

/** Removes folders like ours whose process is gone: on this machine by its id, on others by how old their mark is. */
async function removeLeftovers(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, owner, pid] = folderName.exec(name) ?? [];
    if (pid === undefined || ownNames.has(name)) continue;
    const path = join(folder, name);
    const isDead = owner === host && !isRunning(Number(pid));
    if (isDead || (await isStale(path, nowMs))) await rm(path, { recursive: true, force: true });
  }
}

/** A container's only process has the same id after each start: what bears ours and is not ours is left from before. */
function isRunning(pid: number): boolean {
  try {
    return pid !== process.pid && process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function isStale(path: string, nowMs: number): Promise<boolean> {
  const { mtimeMs } = await stat(join(path, mark)).catch(() => stat(path));
  return nowMs - mtimeMs > deadAfterMs;
}
