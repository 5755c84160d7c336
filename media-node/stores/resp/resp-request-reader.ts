import { ProtocolError } from "../../flow/errors.ts";

export interface RespLimits {
  /** Arguments of one command. */
  readonly maxArguments: number;
  /** Bytes of one argument. */
  readonly maxArgumentBytes: number;
  /** Bytes of all arguments of one command. */
  readonly maxCommandBytes: number;
}

/** Bytes of a line: the longest inline command, and far more than any length needs. */
const maxLineBytes = 4_096;

/**
 * Cuts what a client sends into commands: arrays of bulk strings, or one line of words (an inline command, as typed
 * into telnet). Arguments are bytes as latin1 characters.
 */
export class RespRequestReader {
  readonly #limits: RespLimits;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes without which nothing can be read: chunks are only joined when they are there. */
  #needed = 1;
  #args: string[] = [];
  #argsLeft = 0;
  #argBytes: number | undefined;
  #commandBytes = 0;

  constructor(limits: RespLimits) {
    this.#limits = limits;
  }

  /**
   * @returns the commands that `bytes` completed, in order
   * @throws {ProtocolError} when they are no requests; the connection must be closed then
   */
  push(bytes: Uint8Array): string[][] {
    this.#chunks.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    const commands: string[][] = [];
    if (this.#bytes < this.#needed) return commands;
    let rest = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    for (;;) {
      const used = this.#step(rest, commands);
      if (used === 0) break;
      rest = rest.subarray(used);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return commands;
  }

  /** Reads one line or one bulk string. @returns bytes used; 0 when more are needed */
  #step(rest: Buffer, commands: string[][]): number {
    if (this.#argBytes !== undefined) return this.#bulk(rest, this.#argBytes, commands);
    const end = rest.indexOf(10);
    if (end > maxLineBytes || (end < 0 && rest.length > maxLineBytes)) {
      throw new ProtocolError("RESP_LONG_LINE", "a line past 4 KiB");
    }
    if (end < 0) {
      this.#needed = rest.length + 1;
      return 0;
    }
    const line = rest.toString("latin1", 0, rest[end - 1] === 13 ? end - 1 : end);
    if (this.#argsLeft > 0) this.#argBytes = this.#argumentLength(line);
    else if (line.startsWith("*")) this.#begin(readLength(line.slice(1), this.#limits.maxArguments));
    else if (line.trim() !== "") commands.push(line.trim().split(/[ \t]+/));
    return end + 1;
  }

  #begin(count: number): void {
    this.#argsLeft = count;
    this.#args = [];
    this.#commandBytes = 0;
  }

  #argumentLength(line: string): number {
    if (!line.startsWith("$")) throw new ProtocolError("RESP_NO_BULK", "an argument that is no bulk string");
    const length = readLength(line.slice(1), this.#limits.maxArgumentBytes);
    this.#commandBytes += length;
    if (this.#commandBytes > this.#limits.maxCommandBytes) throw tooLong();
    return length;
  }

  #bulk(rest: Buffer, length: number, commands: string[][]): number {
    if (rest.length < length + 2) {
      this.#needed = length + 2;
      return 0;
    }
    if (rest[length] !== 13 || rest[length + 1] !== 10) {
      throw new ProtocolError("RESP_BAD_LENGTH", "a bulk string that does not end where it says");
    }
    this.#args.push(rest.toString("latin1", 0, length));
    this.#argBytes = undefined;
    if (--this.#argsLeft === 0) commands.push(this.#args);
    return length + 2;
  }
}

function readLength(digits: string, max: number): number {
  if (!/^\d{1,10}$/.test(digits)) throw new ProtocolError("RESP_BAD_NUMBER", "a length that is no number");
  const length = Number(digits);
  if (length > max) throw tooLong();
  return length;
}

function tooLong(): ProtocolError {
  return new ProtocolError("RESP_TOO_LONG", "a command past the limits");
}
