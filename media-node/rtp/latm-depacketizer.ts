import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";
import type { EmitFrame } from "./depacketizer.ts";
import { MarkedFrames } from "./marked-frames.ts";

/** One AudioMuxElement is at most this long; encoders stay below 8 kB. */
const elementLimits = { bytes: 64 * 1024, pieces: 1_024 };

/** The one AudioSpecificConfig of a StreamMuxConfig (ISO 14496-3 §1.7.3), byte-aligned, and its frames per element. */
export interface LatmConfig {
  readonly audioSpecificConfig: Uint8Array;
  readonly framesPerElement: number;
}

/**
 * Reads the `config` of an MP4A-LATM description.
 * @throws {ProtocolError} when it is cut short, or of the kinds no RTP sender uses: several programs or layers
 */
export function parseLatmConfig(bytes: Uint8Array): LatmConfig {
  return readMuxConfig(new BitReader(bytes, truncated));
}

const truncated = (): ProtocolError => new ProtocolError("LATM_TRUNCATED", "the AudioMuxElement ends early");

/** Leaves `bits` behind the AudioSpecificConfig. */
function readMuxConfig(bits: BitReader): LatmConfig {
  const isVersion1 = bits.flag();
  bits.flag();
  const framesPerElement = bits.bits(6) + 1;
  const programs = bits.bits(4);
  const layers = bits.bits(3);
  if (isVersion1 || programs > 0 || layers > 0) {
    throw new ProtocolError("LATM_UNSUPPORTED", "a StreamMuxConfig with several programs or layers");
  }
  return { audioSpecificConfig: copyAudioSpecificConfig(bits), framesPerElement };
}

/** The AudioSpecificConfig is not aligned and has no length: it is copied field by field (ISO 14496-3 §1.6.2.1). */
function copyAudioSpecificConfig(bits: BitReader): Uint8Array {
  const copied: number[] = [];
  const copy = (count: number): number => {
    const value = bits.bits(count);
    for (let bit = count - 1; bit >= 0; bit--) copied.push(Math.floor(value / 2 ** bit) & 1);
    return value;
  };
  const copyRate = (): void => void (copy(4) === 15 && copy(24));
  const copyType = (): number => {
    const type = copy(5);
    return type === 31 ? 32 + copy(6) : type;
  };
  const type = copyType();
  copyRate();
  if (copy(4) === 0) throw new ProtocolError("LATM_UNSUPPORTED", "channels described in band");
  if (type === 5 || type === 29) {
    copyRate();
    copyType();
  }
  // GASpecificConfig: frame length, core coder and extension flags.
  copy(3);
  const bytes = new Uint8Array(Math.ceil(copied.length / 8));
  for (const [index, bit] of copied.entries()) bytes[index >> 3]! |= bit << (7 - (index & 7));
  return bytes;
}

/** What stands behind the AudioSpecificConfig in an element's own StreamMuxConfig (ISO 14496-3 table 1.42). */
function skipRestOfMuxConfig(bits: BitReader): void {
  if (bits.bits(3) !== 0) throw new ProtocolError("LATM_UNSUPPORTED", "frames whose length is fixed");
  bits.bits(8);
  if (bits.flag()) {
    let isMore = true;
    while (isMore) {
      isMore = bits.flag();
      bits.bits(8);
    }
  }
  if (bits.flag()) bits.bits(8);
}

/** What one AudioMuxElement that brings its own configuration holds. */
export interface LatmElement {
  /** Still in force where the element does not bring another. */
  readonly config: LatmConfig;
  readonly frames: readonly Uint8Array[];
}

/**
 * Reads an AudioMuxElement with `muxConfigPresent` (ISO 14496-3 §1.7.3.1). Its frames stand at any bit.
 * @param known the configuration of the elements before it
 * @throws {ProtocolError} when it is cut short, of an unsupported kind, or refers to a configuration that never came
 */
export function parseLatmElement(bytes: Uint8Array, known: LatmConfig | undefined): LatmElement {
  const bits = new BitReader(bytes, truncated);
  let config = known;
  if (!bits.flag()) {
    config = readMuxConfig(bits);
    skipRestOfMuxConfig(bits);
  }
  if (!config) throw new ProtocolError("LATM_NO_CONFIG", "no configuration came yet");
  const frames: Uint8Array[] = [];
  for (let frame = 0; frame < config.framesPerElement; frame++) {
    let length = 0;
    let byte = 255;
    while (byte === 255) length += byte = bits.bits(8);
    if (length === 0 || length * 8 > bits.remainingBits) throw truncated();
    frames.push(Uint8Array.from({ length }, () => bits.bits(8)));
  }
  return { config, frames };
}

/** How AAC comes by LATM: as the SDP says, or as each element says itself (`cpresent=1`). */
export type LatmLayout =
  | { readonly framesPerElement: number; readonly frameTicks: number }
  /** @param frameTicksOf ticks of one frame of a configuration */
  | { readonly frameTicksOf: (audioSpecificConfig: Uint8Array) => number };

/** AAC from RTP by LATM (RFC 6416 §6); elements end at the marker. */
export class LatmDepacketizer extends MarkedFrames {
  readonly #layout: LatmLayout;
  #config: LatmConfig | undefined;

  constructor(layout: LatmLayout, emit: EmitFrame) {
    super(emit, elementLimits);
    this.#layout = layout;
  }

  protected override take(payload: Uint8Array): void {
    this.hold(payload);
  }

  protected override finish(element: Uint8Array): void {
    if ("frameTicksOf" in this.#layout) this.#takeOwnElement(element, this.#layout.frameTicksOf);
    else this.#takeElement(element, this.#layout);
  }

  /** PayloadLengthInfo (ISO 14496-3 §1.7.3, table 1.44) is a run of 255 and a byte below, before each frame. */
  #takeElement(element: Uint8Array, layout: { readonly framesPerElement: number; readonly frameTicks: number }): void {
    let at = 0;
    for (let frame = 0; frame < layout.framesPerElement && at < element.length; frame++) {
      let length = 0;
      while (element[at] === 255) length += element[at++]!;
      length += element[at++] ?? 0;
      // An element that lost its head begins with anything.
      if (length === 0 || at + length > element.length) return this.discard();
      this.emitFrame(element.slice(at, at + length), true, frame * layout.frameTicks);
      at += length;
    }
  }

  #takeOwnElement(element: Uint8Array, frameTicksOf: (audioSpecificConfig: Uint8Array) => number): void {
    try {
      const { config, frames } = parseLatmElement(element, this.#config);
      const frameTicks = frameTicksOf(config.audioSpecificConfig);
      this.#config = config;
      for (const [index, data] of frames.entries())
        this.emitFrame(data, true, index * frameTicks, config.audioSpecificConfig);
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown;
      this.discard();
    }
  }
}
