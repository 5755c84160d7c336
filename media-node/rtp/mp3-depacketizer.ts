import { joinPieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** What an MPEG audio frame header says (ISO 11172-3 §2.4.1.3, ISO 13818-3 §2.4.2.3), layer III only. */
export interface Mp3Header {
  /** Bytes of the whole frame. */
  readonly length: number;
  /** Hz */
  readonly sampleRate: number;
  readonly samples: number;
  readonly channels: number;
}

const bitrates1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const bitrates2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/** The header at the beginning of `bytes`; undefined when there is none, or one of another layer. */
export function parseMp3Header(bytes: Uint8Array): Mp3Header | undefined {
  if (bytes.length < 4 || bytes[0] !== 0xff || (bytes[1]! & 0xe6) !== 0xe2) return undefined;
  const version = (bytes[1]! >> 3) & 3;
  const isVersion1 = version === 3;
  const kilobits = (isVersion1 ? bitrates1 : bitrates2)[bytes[2]! >> 4];
  const baseRate = [44_100, 48_000, 32_000][(bytes[2]! >> 2) & 3];
  if (version === 1 || !kilobits || !baseRate) return undefined;
  const sampleRate = isVersion1 ? baseRate : version === 2 ? baseRate / 2 : baseRate / 4;
  const samples = isVersion1 ? 1_152 : 576;
  const padding = (bytes[2]! >> 1) & 1;
  const length = Math.floor(((samples / 8) * kilobits * 1000) / sampleRate) + padding;
  return { length, sampleRate, samples, channels: bytes[3]! >> 6 === 3 ? 1 : 2 };
}

/** MP3 from RTP (RFC 2250 §3.5): whole frames behind one header, or one frame over several packets. */
export class Mp3Depacketizer implements Depacketizer {
  readonly #emit: EmitFrame;
  readonly #clockRate: number;
  #fragments: Uint8Array[] = [];
  #bytes = 0;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(clockRate: number, emit: EmitFrame) {
    this.#clockRate = clockRate;
    this.#emit = emit;
  }

  get discarded(): number {
    return this.#discarded;
  }

  /** RFC 2250 §3.5: 16 bits must be zero, 16 bits fragment offset, then data. */
  push({ payload, timestamp }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) {
      this.#isAfterLoss = true;
      if (this.#bytes > 0) this.#drop();
    }
    if (payload.length <= 4) return;
    const offset = (payload[2]! << 8) | payload[3]!;
    const data = payload.subarray(4);
    if (offset !== this.#bytes) {
      if (this.#bytes > 0 || offset > 0) this.#drop();
      if (offset > 0) return;
    }
    if (offset > 0) this.#takeFragment(data, timestamp);
    else this.#takeFrames(data, timestamp);
  }

  #takeFrames(data: Uint8Array, timestamp: number): void {
    let ticks = 0;
    for (let at = 0; at < data.length;) {
      const rest = data.subarray(at);
      const header = parseMp3Header(rest);
      if (!header) return this.#drop();
      if (header.length > rest.length) return this.#takeFragment(rest, timestamp + ticks);
      this.#finish(rest.slice(0, header.length), timestamp + ticks);
      ticks += Math.round((header.samples * this.#clockRate) / header.sampleRate);
      at += header.length;
    }
  }

  #takeFragment(data: Uint8Array, timestamp: number): void {
    this.#fragments.push(data);
    this.#bytes += data.length;
    const length = parseMp3Header(this.#fragments[0]!)?.length ?? 0;
    if (this.#bytes > length) return this.#drop();
    if (this.#bytes < length) return;
    const frame = joinPieces(this.#fragments, length);
    this.#forget();
    this.#finish(frame, timestamp);
  }

  #finish(data: Uint8Array, timestamp: number): void {
    const isAfterLoss = this.#isAfterLoss;
    this.#isAfterLoss = false;
    this.#emit({ timestamp: timestamp >>> 0, data, isKeyframe: true, isAfterLoss });
  }

  #drop(): void {
    this.#discarded++;
    this.#isAfterLoss = true;
    this.#forget();
  }

  #forget(): void {
    this.#fragments = [];
    this.#bytes = 0;
  }
}
