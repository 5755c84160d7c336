import { aacFrameSamples, parseAacConfig, serializeAacConfig } from "../codecs/aac.ts";
import type { AudioFormat, Track } from "../core/track.ts";
import { AacDepacketizer } from "../rtp/aac-depacketizer.ts";
import { LatmDepacketizer, parseLatmConfig } from "../rtp/latm-depacketizer.ts";
import { Mp3Depacketizer } from "../rtp/mp3-depacketizer.ts";
import { WholePacketDepacketizer } from "../rtp/whole-packet-depacketizer.ts";
import type { RtpMap } from "../sdp/session-description.ts";
import type { MediaFormat, ReadFormat } from "./media-plan.ts";

/** RFC 3640. */
export const readAac: ReadFormat = (map, parameters) => {
  const number = (name: string, fallback = 0): number => {
    const value = Number(parameters.get(name) ?? fallback);
    if (!Number.isInteger(value) || value < 0 || value > 32) throw new Error(`${name} is out of range`);
    return value;
  };
  // RFC 3640 §3.3.5, §3.3.6: the two modes fix these; cameras leave them out.
  const isLow = parameters.get("mode")?.toLowerCase() === "aac-lbr";
  const decoderConfig =
    decodeHex(parameters.get("config")) ??
    serializeAacConfig({ objectType: 2, sampleRate: map.clockRate, channels: map.channels ?? 2 });
  const { audio, frameTicks } = describeAac(decoderConfig, map);
  const payloadFormat = {
    sizeLength: number("sizelength", isLow ? 6 : 13),
    indexLength: number("indexlength", isLow ? 2 : 3),
    indexDeltaLength: number("indexdeltalength", isLow ? 2 : 3),
    ctsDeltaLength: number("ctsdeltalength"),
    dtsDeltaLength: number("dtsdeltalength"),
    hasRandomAccessFlag: number("randomaccessindication") > 0,
    streamStateLength: number("streamstateindication"),
    auxiliarySizeLength: number("auxiliarydatasizelength"),
    constantSize: 0,
    frameTicks,
  };
  return {
    codec: "aac",
    track: { audio, decoderConfig },
    createDepacketizer: (emit) => new AacDepacketizer(payloadFormat, emit),
  };
};

/** RFC 6416 §7.3. */
export const readLatm: ReadFormat = (map, parameters) => {
  const config = decodeHex(parameters.get("config"));
  if (!config || parameters.get("cpresent") === "1") return readOwnLatm(map);
  const { audioSpecificConfig, framesPerElement } = parseLatmConfig(config);
  const { audio, frameTicks } = describeAac(audioSpecificConfig, map);
  return {
    codec: "aac",
    track: { audio, decoderConfig: audioSpecificConfig },
    createDepacketizer: (emit) => new LatmDepacketizer({ framesPerElement, frameTicks }, emit),
  };
};

/** `cpresent=1`: each element may bring its configuration, and the first one must. */
function readOwnLatm(map: RtpMap): MediaFormat {
  const frameTicksOf = (config: Uint8Array): number => describeAac(config, map).frameTicks;
  return {
    codec: "aac",
    track: { audio: { sampleRate: map.clockRate, channels: map.channels ?? 2 } },
    createDepacketizer: (emit) => new LatmDepacketizer({ frameTicksOf }, emit),
  };
}

/** The sound that an AudioSpecificConfig describes. @throws {ProtocolError} when it is unreadable */
export function audioOf(config: Uint8Array, { audio }: Track): AudioFormat {
  const { sampleRate, channels } = audio ?? { sampleRate: 48_000, channels: 2 };
  return describeAac(config, { clockRate: sampleRate, channels }).audio;
}

function describeAac(
  config: Uint8Array,
  map: { readonly clockRate: number; readonly channels: number | undefined },
): { audio: AudioFormat; frameTicks: number } {
  const { sampleRate, channels } = parseAacConfig(config);
  return {
    // Configuration 7 is 7.1; 0 says that the channels are described in band.
    audio: { sampleRate, channels: channels === 7 ? 8 : channels || map.channels || 2 },
    frameTicks: Math.round((aacFrameSamples * map.clockRate) / sampleRate),
  };
}

/** RFC 7587 §7: the map always says 48000/2; the stream itself tells mono from stereo. */
export const readOpus: ReadFormat = (map) => ({
  codec: "opus",
  track: { audio: { sampleRate: map.clockRate, channels: map.channels ?? 2 } },
  createDepacketizer: (emit) => new WholePacketDepacketizer(emit),
});

/** RFC 3551 §4.5.14. */
export const readG711: ReadFormat = (map) => {
  const channels = map.channels ?? 1;
  // Players know no other (RFC 3551 table 4): they would play it at half the speed.
  if (map.clockRate !== 8_000 || channels !== 1) {
    throw new Error(`players take G.711 of 8000 Hz and one channel, and this has ${map.clockRate} Hz and ${channels}`);
  }
  return {
    codec: map.encoding.toUpperCase() === "PCMU" ? "pcmu" : "pcma",
    track: { audio: { sampleRate: map.clockRate, channels } },
    createDepacketizer: (emit) => new WholePacketDepacketizer(emit),
  };
};

/** RFC 2250 §3.4: the clock says nothing of the sampling rate, which only the frames tell. */
export const readMp3: ReadFormat = (map) => ({
  codec: "mp3",
  track: { audio: { sampleRate: 44_100, channels: map.channels ?? 2 } },
  createDepacketizer: (emit) => new Mp3Depacketizer(map.clockRate, emit),
});

function decodeHex(text: string | undefined): Uint8Array | undefined {
  return /^([0-9a-f]{2}){2,64}$/i.test(text ?? "") ? new Uint8Array(Buffer.from(text!, "hex")) : undefined;
}
