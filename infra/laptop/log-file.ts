import { appendFileSync, writeFileSync } from "node:fs";

/** Enough for hours of an operator's interest; a log that nobody rotates must not fill a disk. */
const maxBytes = 16 * 1024 * 1024;
/** Kept until the file may be opened: a second start that fails must not wipe the log of the first. */
const maxHeldBytes = 1024 * 1024;

/** The nodes' log lines in one file. A full disk costs lines, never the cluster. */
export class LogFile {
  #path: string | undefined;
  #held = "";
  #bytes = 0;

  /** Begins the file anew, with what was written before. */
  open(path: string): void {
    try {
      writeFileSync(path, this.#held);
      this.#path = path;
      this.#bytes = this.#held.length;
    } catch {
      // No place for a log is no reason not to play.
    }
    this.#held = "";
  }

  write(text: string): void {
    if (this.#path === undefined) {
      if (this.#held.length < maxHeldBytes) this.#held += text;
      return;
    }
    if (this.#bytes > maxBytes) return;
    this.#bytes += text.length;
    try {
      appendFileSync(this.#path, text);
    } catch {
      this.#bytes = Number.POSITIVE_INFINITY;
    }
  }
}
