import { ProtocolError } from "../flow/errors.ts";

const headerLength = 27;
/** A page holds at most 255 segments of 255 bytes (RFC 3533 §6). */
const maxPacketBytes = 65_025;

/**
 * Takes the packets out of one Ogg stream (RFC 3533), however it is cut into chunks. Holds at most one page and one
 * packet. Checksums are not verified: the stream comes through a pipe.
 *
 *     | "OggS" | version | flags | granule (8) | serial (4) | sequence (4) | checksum (4) | n | n × segment length | …
 */
export class OggPackets {
  readonly #onPacket: (packet: Uint8Array) => void;
  #rest: Uint8Array = new Uint8Array(0);
  /** The beginning of a packet that goes on in the next segment. */
  #open: Uint8Array[] = [];
  #openBytes = 0;

  /** @param onPacket takes each packet, in an array of its own */
  constructor(onPacket: (packet: Uint8Array) => void) {
    this.#onPacket = onPacket;
  }

  /** @throws {ProtocolError} when this is no Ogg, or one packet has no end */
  push(chunk: Uint8Array): void {
    let bytes = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    for (;;) {
      const length = pageLength(bytes);
      if (length === undefined || bytes.length < length) break;
      this.#takePage(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
    }
    this.#rest = bytes.slice();
  }

  #takePage(page: Uint8Array): void {
    const count = page[26]!;
    let at = headerLength + count;
    // RFC 3533 §6: flag 1 says that the page goes on with a packet; without it, what was open never ends.
    if ((page[5]! & 1) === 0) this.#drop();
    for (let segment = 0; segment < count; segment++) {
      const length = page[headerLength + segment]!;
      this.#open.push(page.subarray(at, at + length));
      this.#openBytes += length;
      at += length;
      if (this.#openBytes > maxPacketBytes) throw new ProtocolError("OGG_PACKET", "an Ogg packet has no end");
      if (length < 255) this.#finish();
    }
    // Views into this chunk must not outlive it.
    this.#open = this.#open.map((piece) => piece.slice());
  }

  #finish(): void {
    const packet = new Uint8Array(this.#openBytes);
    let at = 0;
    for (const piece of this.#open) {
      packet.set(piece, at);
      at += piece.length;
    }
    this.#drop();
    this.#onPacket(packet);
  }

  #drop(): void {
    this.#open = [];
    this.#openBytes = 0;
  }
}

/** Whole length of the page that `bytes` begins with; undefined while its header is not there. */
function pageLength(bytes: Uint8Array): number | undefined {
  const magic = [0x4f, 0x67, 0x67, 0x53, 0];
  for (const [index, byte] of magic.entries()) {
    if (index < bytes.length && bytes[index] !== byte) throw new ProtocolError("OGG_SYNC", "this is no Ogg page");
  }
  const count = bytes[26];
  if (count === undefined || bytes.length < headerLength + count) return undefined;
  let length = headerLength + count;
  for (let segment = 0; segment < count; segment++) length += bytes[headerLength + segment]!;
  return length;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/**
 * Samples at 48 kHz that a decoder throws away at the start (RFC 7845 §5.1); undefined when this is no `OpusHead`.
 */
export function opusPreSkip(packet: Uint8Array): number | undefined {
  const isHead = packet.length >= 19 && new TextDecoder("latin1").decode(packet.subarray(0, 8)) === "OpusHead";
  return isHead ? packet[10]! | (packet[11]! << 8) : undefined;
}
