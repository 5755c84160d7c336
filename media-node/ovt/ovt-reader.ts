import { ProtocolError } from "../flow/errors.ts";
import { checkOvtHeader, ovtHeaderLength, ovtPayloadType } from "./ovt-packet.ts";

/** What a reader found, in the order it was completed. Views may point into the chunk that was pushed. */
export interface OvtReaderHandler {
  /** One whole message, undecoded. */
  onMessage(body: Uint8Array): void;
  /** One whole media packet: 36 bytes of header and its data. */
  onMedia(body: Uint8Array): void;
}

export interface OvtReaderOptions {
  /** Origins take requests; edges take responses and media. Anything else of the three is a breach. */
  readonly role: "origin" | "edge";
  readonly maxMessageBytes: number;
  readonly maxMediaBytes: number;
}

/** A body of tiny pieces costs more in headers than in bytes: nobody honest sends so many. */
const maxFragments = 100_000;
const maxEmptyFragments = 16;
/** Payload types nobody described: so many in a row are no newer peer that is understood without them. */
const maxUnknownPackets = 64;

/** Pieces of one body. Held as it came while it is one piece; copied into a growing buffer from the second on. */
class Accumulator {
  readonly #maxBytes: number;
  readonly #code: string;
  #first: Uint8Array | undefined;
  #buffer: Uint8Array | undefined;
  #length = 0;
  #fragments = 0;
  #empty = 0;

  constructor(maxBytes: number, code: string) {
    this.#maxBytes = maxBytes;
    this.#code = code;
  }

  /** @returns the whole body once `isLast` */
  add(piece: Uint8Array, isLast: boolean): Uint8Array | undefined {
    const total = this.#length + piece.length;
    if (total > this.#maxBytes) throw new ProtocolError(this.#code, `more than ${this.#maxBytes} bytes in one body`);
    if (isLast && this.#first === undefined) return piece;
    this.#empty = piece.length === 0 ? this.#empty + 1 : 0;
    if (++this.#fragments > maxFragments || this.#empty > maxEmptyFragments) {
      throw new ProtocolError("OVT_FRAGMENTS", "one body comes in too many pieces");
    }
    if (this.#first === undefined) this.#first = piece;
    else this.#append(piece, total);
    this.#length = total;
    return isLast ? this.#take() : undefined;
  }

  #append(piece: Uint8Array, total: number): void {
    if (!this.#buffer || total > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(4 * this.#length, total, 65_536)));
      larger.set(this.#buffer?.subarray(0, this.#length) ?? this.#first!);
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#length);
  }

  #take(): Uint8Array {
    const whole = this.#buffer!.subarray(0, this.#length);
    // A sample lives for seconds: do not let a small one hold a large buffer.
    const isTight = whole.length * 4 > this.#buffer!.length * 3;
    this.#first = undefined;
    this.#buffer = undefined;
    this.#length = 0;
    this.#fragments = 0;
    this.#empty = 0;
    return isTight ? whole : whole.slice();
  }
}

/**
 * Cuts one connection's bytes into messages and media packets. Messages may lie between the pieces of a media packet.
 * A media packet that came in one OVT packet inside one chunk is handed on without a copy.
 * After a throw, framing is lost: close the connection, never reuse the reader.
 */
export class OvtReader {
  readonly #handler: OvtReaderHandler;
  readonly #role: "origin" | "edge";
  readonly #messages: Accumulator;
  readonly #media: Accumulator;
  /** A packet whose end has not come yet; a header first, the whole packet as soon as its length is known. */
  #partial: Uint8Array | undefined;
  #partialLength = 0;
  #unknownPackets = 0;

  constructor(options: OvtReaderOptions, handler: OvtReaderHandler) {
    this.#handler = handler;
    this.#role = options.role;
    this.#messages = new Accumulator(options.maxMessageBytes, "OVT_MESSAGE_TOO_LONG");
    this.#media = new Accumulator(options.maxMediaBytes, "OVT_MEDIA_TOO_LONG");
  }

  /** @throws {ProtocolError} when the peer broke the protocol; what the handler throws passes through */
  push(chunk: Uint8Array): void {
    let at = this.#partial ? this.#fillPartial(chunk) : 0;
    while (at + ovtHeaderLength <= chunk.length) {
      const end = at + ovtHeaderLength + checkOvtHeader(chunk, at);
      if (end > chunk.length) break;
      this.#onPacket(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.#beginPartial(chunk, at);
  }

  #beginPartial(chunk: Uint8Array, at: number): void {
    const rest = chunk.subarray(at);
    const isHeaderKnown = rest.length >= ovtHeaderLength;
    const needed = ovtHeaderLength + (isHeaderKnown ? checkOvtHeader(rest, 0) : 0);
    this.#partial = Buffer.allocUnsafe(needed);
    this.#partial.set(rest);
    this.#partialLength = rest.length;
  }

  /** Completes the packet begun earlier as far as `chunk` reaches; returns how much of it was used. */
  #fillPartial(chunk: Uint8Array): number {
    let used = 0;
    if (this.#partialLength < ovtHeaderLength) {
      used = this.#copyPartial(chunk, 0, ovtHeaderLength);
      if (this.#partialLength < ovtHeaderLength) return used;
      const grown = Buffer.allocUnsafe(ovtHeaderLength + checkOvtHeader(this.#partial!, 0));
      grown.set(this.#partial!.subarray(0, ovtHeaderLength));
      this.#partial = grown;
    }
    const packet = this.#partial!;
    used = this.#copyPartial(chunk, used, packet.length);
    if (this.#partialLength < packet.length) return used;
    this.#partial = undefined;
    this.#partialLength = 0;
    this.#onPacket(packet, 0, packet.length);
    return used;
  }

  #copyPartial(chunk: Uint8Array, from: number, until: number): number {
    const take = Math.min(until - this.#partialLength, chunk.length - from);
    this.#partial!.set(chunk.subarray(from, from + take), this.#partialLength);
    this.#partialLength += take;
    return from + take;
  }

  #onPacket(bytes: Uint8Array, at: number, end: number): void {
    const payload = bytes.subarray(at + ovtHeaderLength, end);
    const isLast = (bytes[at]! & 0x20) !== 0;
    const payloadType = bytes[at + 1]!;
    if (payloadType === ovtPayloadType.media && this.#role === "edge") {
      this.#unknownPackets = 0;
      const body = this.#media.add(payload, isLast);
      if (body) this.#handler.onMedia(body);
    } else if (payloadType === (this.#role === "edge" ? ovtPayloadType.response : ovtPayloadType.request)) {
      this.#unknownPackets = 0;
      const body = this.#messages.add(payload, isLast);
      if (body?.length === 0) throw new ProtocolError("OVT_EMPTY_MESSAGE", "a message without a body");
      if (body) this.#handler.onMessage(body);
    } else this.#onUnexpected(payloadType);
  }

  #onUnexpected(payloadType: number): void {
    if (Object.values<number>(ovtPayloadType).includes(payloadType)) {
      throw new ProtocolError("OVT_PAYLOAD_TYPE", `payload type ${payloadType} does not come in this direction`);
    }
    if (++this.#unknownPackets > maxUnknownPackets) {
      throw new ProtocolError("OVT_UNKNOWN_PACKETS", "too many packets of unknown types");
    }
  }
}
