import { aacFrameSamples, parseAdtsFrames, serializeAacConfig } from "../codecs/aac.ts";
import { av1ConfigOf, av1SequenceOf, startsAv1Decoding } from "../codecs/av1.ts";
import { parseCueSample } from "../codecs/webvtt.ts";
import { vp9ConfigOf, vp9KeyFrame } from "../codecs/vp9.ts";
import { ProtocolError } from "../flow/errors.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { formatOf, type BitstreamFormat, type OvtGeneration } from "./ovt-generation.ts";
import { ovtMediaType, type OvtMedia } from "./ovt-media.ts";
import { inspectAccessUnit, isSameSet, nalFamilyOf, parameterSetsIn, setsInRecord } from "./parameter-sets.ts";

export interface SampleDecoderEvents {
  onSample(sample: Sample): void;
  /** A track turned out to be otherwise than described: parameter sets came, or changed, in band. Before its key frame. */
  onTrack(track: Track): void;
}

interface TrackState {
  track: Track;
  /** Ticks per tick of the wire: the numerator of the time base. */
  readonly tickFactor: number;
  readonly mediaType: number;
  isWaiting: boolean;
  lastDts: number;
}

/**
 * Makes samples of one connection's media packets: checks key frames by their NAL types, cuts AAC into frames, keeps video
 * back until its first key frame. Packets of unknown tracks or formats are left out.
 */
export class SampleDecoder {
  readonly #generation: OvtGeneration;
  readonly #events: SampleDecoderEvents;
  readonly #tracks = new Map<number, TrackState>();

  /** @param tickFactors numerator of each track's time base, by track id; 1 where absent */
  constructor(
    tracks: readonly Track[],
    generation: OvtGeneration,
    tickFactors: ReadonlyMap<number, number>,
    events: SampleDecoderEvents,
  ) {
    this.#generation = generation;
    this.#events = events;
    for (const track of tracks) {
      this.#tracks.set(track.id, {
        track,
        tickFactor: tickFactors.get(track.id) ?? 1,
        mediaType: ovtMediaType[track.kind],
        isWaiting: track.kind === "video",
        lastDts: Number.NEGATIVE_INFINITY,
      });
    }
  }

  push(media: OvtMedia): void {
    const state = this.#tracks.get(media.trackId);
    if (!state || state.mediaType !== media.mediaType || media.data.length === 0) return;
    const format = formatOf(this.#generation, media.bitstreamFormat);
    switch (state.track.codec) {
      case "h264":
        return this.#pushNals(state, media, format === "h264-annexb");
      case "h265":
        return this.#pushNals(state, media, format === "h265-annexb");
      case "vp8":
        return this.#pushVideo(state, media, (media.data[0]! & 1) === 0);
      case "vp9":
        return this.#pushDescribed(state, media, vp9ConfigOf(media.data));
      case "av1":
        return this.#pushDescribed(state, media, startsAv1Decoding(media.data) ? av1ConfigOf(media.data) : undefined);
      case "aac":
        return this.#pushAac(state, media, format);
      case "webvtt":
        return this.#pushCue(state, media, format);
      default:
        return this.#emit(state, media.pts, media.dts, media.duration, true, media.data);
    }
  }

  #pushNals(state: TrackState, media: OvtMedia, isExpected: boolean): void {
    const family = nalFamilyOf(state.track.codec)!;
    const { hasSlice, isKeyframe } = inspectAccessUnit(family, media.data);
    // Some encoders send parameter sets in a packet of their own: they are no picture, but they may be news.
    if (isExpected && (isKeyframe || !hasSlice)) this.#learn(state, media.data);
    if (isExpected && hasSlice) this.#pushVideo(state, media, isKeyframe);
  }

  /** Nobody announces new parameter sets: they come in front of a key frame. */
  #learn(state: TrackState, data: Uint8Array): void {
    const family = nalFamilyOf(state.track.codec)!;
    const found = parameterSetsIn(family, data);
    if (!found) return;
    const known = setsInRecord(family, state.track.decoderConfig);
    const isKnown = [...found.values()].flat().every((set) => known.some((other) => isSameSet(set, other)));
    if (isKnown) return;
    try {
      const size = family.sizeOf(found);
      const framerate = state.track.video?.framerate || size.framerate;
      const video = { width: size.width, height: size.height, framerate };
      state.track = { ...state.track, decoderConfig: family.recordOf(found).slice(), video };
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown;
      return;
    }
    this.#events.onTrack(state.track);
  }

  /** @param record of a frame that decoding can start with; such frames describe the track themselves */
  #pushDescribed(state: TrackState, media: OvtMedia, record: Uint8Array | undefined): void {
    const { track } = state;
    if (record && !isSameSet(record, track.decoderConfig ?? new Uint8Array())) {
      const size = track.codec === "av1" ? av1SequenceOf(media.data) : vp9KeyFrame(media.data);
      const { width, height } = size ?? { width: 0, height: 0 };
      const video = { width, height, framerate: track.video?.framerate ?? 0 };
      state.track = { ...track, decoderConfig: record.slice(), video };
      this.#events.onTrack(state.track);
    }
    this.#pushVideo(state, media, record !== undefined);
  }

  #pushVideo(state: TrackState, media: OvtMedia, isKeyframe: boolean): void {
    if (state.isWaiting && !isKeyframe) return;
    state.isWaiting = false;
    this.#emit(state, media.pts, media.dts, media.duration, isKeyframe, media.data);
  }

  /** @param format of older releases is none of subtitles, since they had none */
  #pushCue(state: TrackState, media: OvtMedia, format: BitstreamFormat | undefined): void {
    if (format === "webvtt" && parseCueSample(media.data))
      this.#emit(state, media.pts, media.pts, media.duration, true, media.data);
  }

  #pushAac(state: TrackState, media: OvtMedia, format: BitstreamFormat | undefined): void {
    if (format === "aac-raw") return this.#emit(state, media.pts, media.dts, media.duration, true, media.data);
    const frames = this.#adtsFrames(media.data);
    if (frames.length === 0) return;
    const { config } = frames[0]!;
    if (!state.track.decoderConfig) {
      const audio = { sampleRate: config.sampleRate, channels: config.channels };
      state.track = { ...state.track, decoderConfig: serializeAacConfig(config), audio };
      this.#events.onTrack(state.track);
    }
    if (frames.length === 1) return this.#emit(state, media.pts, media.dts, media.duration, true, frames[0]!.data);
    const frameTicks = (aacFrameSamples * state.track.timescale) / state.tickFactor / config.sampleRate;
    for (const [index, frame] of frames.entries()) {
      const from = Math.round(index * frameTicks);
      const duration = Math.round((index + 1) * frameTicks) - from;
      this.#emit(state, media.pts + from, media.dts + from, duration, true, frame.data);
    }
  }

  #adtsFrames(data: Uint8Array): ReturnType<typeof parseAdtsFrames> {
    try {
      return parseAdtsFrames(data);
    } catch (thrown) {
      if (thrown instanceof ProtocolError) return [];
      throw thrown;
    }
  }

  #emit(
    state: TrackState,
    wirePts: number,
    wireDts: number,
    wireDuration: number,
    isKeyframe: boolean,
    data: Uint8Array,
  ): void {
    const { tickFactor } = state;
    const pts = wirePts * tickFactor;
    let dts = wireDts * tickFactor;
    const duration = Math.max(0, wireDuration) * tickFactor;
    // Frames cut out of one packet are rounded each; the next packet may then begin a tick before the last one's end.
    if (dts <= state.lastDts && state.lastDts - dts <= 2 && state.track.codec === "aac") dts = state.lastDts + 1;
    if (!Number.isSafeInteger(pts) || !Number.isSafeInteger(dts) || !Number.isSafeInteger(duration)) {
      throw new ProtocolError("OVT_TIMESTAMP", "a timestamp is out of range");
    }
    state.lastDts = dts;
    this.#events.onSample({ trackId: state.track.id, pts, dts, duration, isKeyframe, data });
  }
}
