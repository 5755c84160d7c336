import { aacSampleRates, parseAacConfig } from "./aac.ts";
import type { Codec } from "./codec.ts";
import { opusClockRate } from "./opus.ts";

/** One frame in which nothing is heard, and how long it lasts. */
export interface Silence {
  readonly data: Uint8Array;
  /** At `sampleRate`. */
  readonly samples: number;
  /** Hz */
  readonly sampleRate: number;
}

/** Elements of each AAC channel configuration (ISO 14496-3 table 1.19): single channel, channel pair, low frequencies. */
const aacElements = ["", "S", "P", "SP", "SPS", "SPP", "SPPL", "SPPPL"];
const elementIds = { S: "000", P: "001", L: "011" } as const;
/** Without a scale factor band nothing follows the gain but three flags (ISO 14496-3 §4.4.2.7). */
const silentChannel = "0".repeat(8 + 11 + 3);
/** AAC-LC, and HE-AAC, whose core it is: frames without what SBR would add are taken. */
const knownTypes: readonly number[] = [2, 5, 29];
const framesOfAac = 1_024;
/** CELT, full band, 20 ms (RFC 6716 §3.1); what an encoder makes of zeros. */
const silentOpus = { mono: Uint8Array.of(0xf8, 0xff, 0xfe), stereo: Uint8Array.of(0xfc, 0xff, 0xfe) };

/**
 * What stands for sound that does not come; undefined for codecs and layouts that it is not known of.
 * @throws {ProtocolError} when the AAC configuration is none
 */
export function silenceOf(codec: Codec | undefined, decoderConfig: Uint8Array, channels: number): Silence | undefined {
  if (codec === "opus") {
    return { data: channels === 1 ? silentOpus.mono : silentOpus.stereo, samples: 960, sampleRate: opusClockRate };
  }
  if (codec !== "aac") return undefined;
  const config = parseAacConfig(decoderConfig);
  const elements = aacElements[config.channels];

  const isUsual = knownTypes.includes(config.objectType) && aacSampleRates.includes(config.sampleRate);
  if (!elements || !isUsual || hasShortFrames(decoderConfig)) return undefined;
  return { data: silentAac(elements), samples: framesOfAac, sampleRate: config.sampleRate };
}

/** Only where it stands at a fixed place: a rate of the table, and no extension before it. */
function hasShortFrames(config: Uint8Array): boolean {
  return config[0]! >> 3 === 2 && config.length >= 2 && (config[1]! & 0x04) !== 0;
}

function silentAac(elements: string): Uint8Array {
  const tags = { S: 0, P: 0, L: 0 };
  let bits = "";
  for (const element of elements as Iterable<keyof typeof tags>) {
    bits += elementIds[element] + (tags[element]++).toString(2).padStart(4, "0");
    bits += element === "P" ? `0${silentChannel}${silentChannel}` : silentChannel;
  }
  bits += "111";
  const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, "0").match(/.{8}/g)!;
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte, 2));
}
