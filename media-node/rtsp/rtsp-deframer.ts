import { ProtocolError } from "../flow/errors.ts";
import { interleavedHeaderLength, interleavedMagic } from "./interleaved-frame.ts";
import { bodyLengthOf, maxRtspHeadBytes, parseRtspHead, type RtspRequest, type RtspResponse } from "./rtsp-message.ts";

/** Takes what the deframer cut out of the stream, in order. */
export interface RtspDeframerSink {
  /** `payload` is a view into the bytes received. */
  onInterleaved(channel: number, payload: Uint8Array): void;
  /** Whether a frame may be on this channel; asked only while looking for the next beginning in garbage. */
  isKnownChannel(channel: number): boolean;
  onMessage(message: ({ kind: "request" } & RtspRequest) | ({ kind: "response" } & RtspResponse)): void;
}

/** Bytes between messages that belong to nothing; more than this is no RTSP any more. */
const maxGarbageBytes = 256 * 1024;

/**
 * Cuts an RTSP connection's bytes into messages and interleaved frames, however they arrive. Bytes that begin neither
 * are skipped up to the next beginning: some servers announce a shorter body than they send, and some lose count of
 * their own frames when their socket is full.
 */
export class RtspDeframer {
  readonly #sink: RtspDeframerSink;
  /** The beginning of something whose end has not come yet. */
  #rest = new Uint8Array(0);
  #restLength = 0;
  /** Below this length there is no use in looking at `#rest` again. */
  #wanted = 0;
  /** Bytes of `#rest` known to hold no end of a head. */
  #scanned = 0;
  #skipped = 0;
  /** Skipped since the last good frame or message. */
  #skippedInARow = 0;

  constructor(sink: RtspDeframerSink) {
    this.#sink = sink;
  }

  /** Bytes that belonged to nothing. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Bytes held until the rest of their message comes. */
  get heldBytes(): number {
    return this.#restLength;
  }

  /** @throws {ProtocolError} when a message is unreadable or larger than the limits */
  push(chunk: Uint8Array): void {
    const isContinued = this.#restLength > 0;
    if (isContinued) {
      this.#append(chunk);
      if (this.#restLength < this.#wanted) return;
    }
    const bytes = isContinued ? this.#rest.subarray(0, this.#restLength) : chunk;
    let at = 0;
    while (at < bytes.length) {
      const next = bytes[at] === interleavedMagic ? this.#takeFrame(bytes, at) : this.#takeText(bytes, at);
      if (next === undefined) break;
      at = next;
      this.#scanned = 0;
    }
    if (at > 0 || !isContinued) this.#keep(bytes.subarray(at));
  }

  #append(chunk: Uint8Array): void {
    const length = this.#restLength + chunk.length;
    if (length > this.#rest.length) {
      const larger = new Uint8Array(Math.max(length, this.#wanted, this.#rest.length * 2));
      larger.set(this.#rest.subarray(0, this.#restLength));
      this.#rest = larger;
    }
    this.#rest.set(chunk, this.#restLength);
    this.#restLength = length;
  }

  /** A fresh copy, since views into the old bytes were given away. */
  #keep(rest: Uint8Array): void {
    this.#restLength = rest.length;
    this.#rest = rest.length === 0 ? empty : new Uint8Array(Math.max(rest.length, Math.min(this.#wanted, 0x20000)));
    this.#rest.set(rest);
  }

  /** @returns where the next begins, or undefined when the frame is not complete */
  #takeFrame(bytes: Uint8Array, at: number): number | undefined {
    const start = at + interleavedHeaderLength;
    if (start > bytes.length) return this.#wait(interleavedHeaderLength);
    const end = start + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
    const channel = bytes[at + 1]!;
    if (this.#skippedInARow > 0 && !this.#sink.isKnownChannel(channel)) return this.#skip(bytes, at);
    if (end > bytes.length) return this.#wait(end - at);
    this.#skippedInARow = 0;
    this.#sink.onInterleaved(channel, bytes.subarray(start, end));
    return end;
  }

  #takeText(bytes: Uint8Array, at: number): number | undefined {
    const start = skipLineEnds(bytes, at);
    if (start > at) return start;
    // In garbage only the beginning of an answer counts: any capital may look like a method.
    const isPossible = this.#skippedInARow > 0 ? isAnswerStart(bytes, at) : mayBeMessage(bytes, at);
    if (!isPossible) return this.#skip(bytes, at);
    const headEnd = findHeadEnd(bytes, at + Math.max(0, this.#scanned - 3));
    if ((headEnd?.end ?? bytes.length) - at > maxRtspHeadBytes) {
      throw new ProtocolError("RTSP_HEAD_TOO_LARGE", `headers of more than ${maxRtspHeadBytes} bytes`);
    }
    if (!headEnd) {
      this.#scanned = bytes.length - at;
      return this.#wait(bytes.length - at + 1);
    }
    const text = latin1.decode(bytes.subarray(at, headEnd.textEnd));
    if (!/^(RTSP\/\d+\.\d+ +\d{3}|[A-Z_]{3,32} \S+ RTSP\/\d+\.\d)/.test(text)) return this.#skip(bytes, at);
    const head = parseRtspHead(text);
    const end = headEnd.end + bodyLengthOf(head);
    if (end > bytes.length) return this.#wait(end - at);
    this.#skippedInARow = 0;
    this.#sink.onMessage({ ...head, body: bytes.slice(headEnd.end, end) });
    return end;
  }

  #wait(wanted: number): undefined {
    this.#wanted = wanted;
  }

  /** Goes on at the next byte that may begin something. */
  #skip(bytes: Uint8Array, at: number): number {
    let next = at + 1;
    while (next < bytes.length && bytes[next] !== interleavedMagic && !isAnswerStart(bytes, next)) next++;
    this.#skipped += next - at;
    this.#skippedInARow += next - at;
    if (this.#skippedInARow > maxGarbageBytes) throw new ProtocolError("RTSP_GARBAGE", "this is not RTSP");
    return next;
  }
}

const empty = new Uint8Array(0);
/** Headers are ASCII; anything else must not throw. */
const latin1 = new TextDecoder("latin1");
const answerStart = new TextEncoder().encode("RTSP/");

/** Whether a start line can still come of it: a method or `RTSP/`, as far as it is there. */
function mayBeMessage(bytes: Uint8Array, at: number): boolean {
  let end = at;
  while (end < bytes.length && end - at <= 32 && isMethodByte(bytes[end]!)) end++;
  if (end === bytes.length) return true;
  const isMethod = bytes[end] === 0x20 && end - at >= 3;
  return isMethod || (bytes[end] === 0x2f && isAnswerStart(bytes, at));
}

function isMethodByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f;
}

/** `RTSP/`, as far as it is there: the only text worth looking for in garbage. */
function isAnswerStart(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < answerStart.length && at + i < bytes.length; i++) {
    if (bytes[at + i] !== answerStart[i]) return false;
  }
  return true;
}

function skipLineEnds(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && (bytes[at] === 13 || bytes[at] === 10)) at++;
  return at;
}

/** The empty line: CRLF CRLF, or LF LF from sloppy servers. */
function findHeadEnd(bytes: Uint8Array, from: number): { textEnd: number; end: number } | undefined {
  for (let i = bytes.indexOf(10, from); i >= 0; i = bytes.indexOf(10, i + 1)) {
    if (bytes[i + 1] === 10) return { textEnd: i, end: i + 2 };
    if (bytes[i + 1] === 13 && bytes[i + 2] === 10) return { textEnd: i, end: i + 3 };
  }
  return undefined;
}
