import { parseAacConfig, serializeAdtsHeader, type AacConfig } from "../codecs/aac.ts";
import { ProtocolError } from "../flow/errors.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { codecIdOf, formatIdOf, isForHearthOnly, type BitstreamFormat } from "./ovt-generation.ts";
import { ovtFlag, ovtMediaType, serializeOvtMediaHeader } from "./ovt-media.ts";
import { ovtPacketCount, ovtPayloadType, serializeOvtPackets } from "./ovt-packet.ts";
import { nalFamilyOf, setsInRecord, withParameterSets } from "./parameter-sets.ts";

/** One sample as OVT packets, shared by every session that sends it. */
export interface EncodedSample {
  /** Whole packets, in one buffer. */
  readonly bytes: Uint8Array;
  readonly trackId: number;
  readonly isVideo: boolean;
  readonly isKeyframe: boolean;
  /** Data or subtitles, which OvenMediaEngine edges are only sent on request of the operator. */
  readonly isData: boolean;
  /** Of a codec that OvenMediaEngine edges are not told of. */
  readonly isForHearth: boolean;
}

interface TrackPlan {
  readonly track: Track;
  readonly mediaType: number;
  readonly bitstreamFormat: number;
  readonly packetType: number;
  readonly aac: AacConfig | undefined;
  readonly parameterSets: readonly Uint8Array[];
}

const formats: Partial<Record<Track["codec"], BitstreamFormat>> = {
  h264: "h264-annexb",
  h265: "h265-annexb",
  vp8: "vp8",
  aac: "aac-adts",
  opus: "opus",
  mp3: "mp3",
  webvtt: "webvtt",
};

const packetType = { raw: 1, nal: 3, event: 4 } as const;
/** Sessions of one stream share its packets, so they share the session id too; edges give it no meaning. */
const sessionId = 1;

/** Makes OVT packets of one stream's samples, numbering them as they are first asked for. Each sample is encoded once. */
export class SampleEncoder {
  readonly #plans = new Map<number, TrackPlan>();
  readonly #done = new WeakMap<Sample, EncodedSample>();
  #sequence = 0;
  #encodedCount = 0;

  /** Takes new tracks; samples encoded before keep their bytes. */
  describe(tracks: readonly Track[]): void {
    this.#plans.clear();
    for (const track of tracks) {
      const plan = planOf(track);
      if (plan) this.#plans.set(track.id, plan);
    }
  }

  /** How many samples were serialised, however many sessions sent them. */
  get encodedCount(): number {
    return this.#encodedCount;
  }

  /** @returns undefined when OVT does not carry the sample's track */
  encode(sample: Sample): EncodedSample | undefined {
    const known = this.#done.get(sample);
    if (known) return known;
    const plan = this.#plans.get(sample.trackId);
    if (!plan) return undefined;
    const parts = bodyOf(sample, plan);
    const label = { payloadType: ovtPayloadType.media, sequence: this.#sequence, timestamp: sample.pts, sessionId };
    const encoded = {
      bytes: serializeOvtPackets(parts, label),
      trackId: sample.trackId,
      isVideo: plan.track.kind === "video",
      isKeyframe: sample.isKeyframe,
      isData: plan.mediaType >= ovtMediaType.data,
      isForHearth: isForHearthOnly(plan.track.codec),
    };
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#sequence = (this.#sequence + ovtPacketCount(length)) & 0xffff;
    this.#encodedCount++;
    this.#done.set(sample, encoded);
    return encoded;
  }
}

function planOf(track: Track): TrackPlan | undefined {
  if (codecIdOf(track.codec) === undefined) return undefined;
  const aac = track.codec === "aac" ? aacConfigOf(track) : undefined;
  if (track.codec === "aac" && !aac) return undefined;
  const family = nalFamilyOf(track.codec);
  const format = formats[track.codec];
  return {
    track,
    mediaType: ovtMediaType[track.kind],
    bitstreamFormat: format ? formatIdOf(format) : -1,
    packetType: family ? packetType.nal : track.kind === "data" ? packetType.event : packetType.raw,
    aac,
    parameterSets: family ? setsInRecord(family, track.decoderConfig) : [],
  };
}

/** ADTS headers need a configuration; a track without a readable one cannot be sent. */
function aacConfigOf(track: Track): AacConfig | undefined {
  if (!track.decoderConfig) return undefined;
  try {
    const config = parseAacConfig(track.decoderConfig);
    serializeAdtsHeader(config, 0);
    return config;
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return undefined;
    throw thrown;
  }
}

function bodyOf(sample: Sample, plan: TrackPlan): readonly Uint8Array[] {
  const data = elementaryOf(sample, plan);
  const length = data.reduce((sum, part) => sum + part.length, 0);
  const { track, mediaType } = plan;
  const flag = mediaType >= ovtMediaType.data || !sample.isKeyframe ? ovtFlag.delta : ovtFlag.key;
  const header = serializeOvtMediaHeader(
    {
      trackId: track.id,
      pts: sample.pts,
      dts: sample.dts,
      duration: sample.duration,
      mediaType,
      flag,
      bitstreamFormat: track.kind === "data" ? dataFormatOf(sample.data) : plan.bitstreamFormat,
      packetType: plan.packetType,
    },
    length,
  );
  return [header, ...data];
}

function elementaryOf(sample: Sample, plan: TrackPlan): readonly Uint8Array[] {
  if (plan.aac) {
    if (sample.data.length + 7 > 0x1fff) return [sample.data];
    return [serializeAdtsHeader(plan.aac, sample.data.length), sample.data];
  }
  const family = nalFamilyOf(plan.track.codec);
  if (family && sample.isKeyframe) return withParameterSets(family, sample.data, plan.parameterSets);
  return [sample.data];
}

/** Data samples carry no format: ID3v2 begins with its name, SCTE-35 with its table id; what is left are cues. */
function dataFormatOf(data: Uint8Array): number {
  if (data[0] === 0x49 && data[1] === 0x44 && data[2] === 0x33) return formatIdOf("id3");
  if (data[0] === 0xfc) return formatIdOf("scte35");
  return formatIdOf("cue");
}
