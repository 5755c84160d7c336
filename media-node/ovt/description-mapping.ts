import type { Codec, TrackKind } from "../codecs/codec.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { StreamName } from "../core/stream-name.ts";
import type { Playlist, Track } from "../core/track.ts";
import { parseHearthDescription, serializeHearthDescription, type HearthDescription } from "./hearth-extension.ts";
import type { OvtDescription, OvtWirePlaylist, OvtWireTrack } from "./ovt-description.ts";
import { codecIdOf, codecOf, hearthCodecOf, isForHearthOnly, type OvtGeneration } from "./ovt-generation.ts";
import { ovtMediaType } from "./ovt-media.ts";

const kinds: readonly TrackKind[] = ["video", "audio", "data", "subtitle"];
const defaultNames: Record<TrackKind, string> = { video: "Video", audio: "Audio", data: "Data", subtitle: "Subtitle" };
/** Which kinds each codec may have: a description that says otherwise is not believed. */
const kindOfCodec: Partial<Record<Codec, TrackKind>> = {
  h264: "video",
  h265: "video",
  vp8: "video",
  vp9: "video",
  av1: "video",
  aac: "audio",
  opus: "audio",
  mp3: "audio",
  pcmu: "audio",
  pcma: "audio",
  webvtt: "subtitle",
};

/** Loudspeakers by number of channels, the usual arrangement of each. */
const layouts = [0, 4, 3, 7, 263, 55, 63, 1807, 1599];

/** Where the receiving node stands, for what an OvenMediaEngine origin does not say. */
export interface DescriptionContext {
  readonly generation: OvtGeneration;
  /** Unix ms taken for timestamp 0 when the origin states none. */
  readonly guessedEpochMs: number;
}

/** The description as the core sees it. Tracks of codecs this node does not know are left out. */
export function toStreamDescription(description: OvtDescription, context: DescriptionContext): StreamDescription {
  const hearth = parseHearthDescription(description.extension);
  return {
    tracks: description.tracks
      .flatMap((track) => toTrack(track, context.generation, hearth) ?? [])
      .sort((a, b) => a.id - b.id),
    playlists: description.playlists.map(toPlaylist),
    epochMs: hearth?.epochMs ?? context.guessedEpochMs,
    isEpochShared: hearth?.isEpochShared ?? false,
    originId: hearth?.originId ?? description.originStreamUuid,
    path: hearth?.path ?? [],
    ...(hearth && { discontinuities: hearth.discontinuities }),
    ...(hearth?.beganMs !== undefined && { beganMs: hearth.beganMs }),
  };
}

function toTrack(
  wire: OvtWireTrack,
  generation: OvtGeneration,
  hearth: HearthDescription | undefined,
): Track | undefined {
  const kind = kinds[wire.mediaType];
  const language = hearth?.languages[wire.id];
  const subtitle = kind === "subtitle" ? hearth?.subtitles?.[wire.id] : undefined;
  const known = codecOf(generation, wire.codecId) ?? (hearth && hearthCodecOf(wire.codecId));
  const codec: Codec | undefined = kind === "data" ? "data" : known;
  if (!kind || !codec || (kindOfCodec[codec] ?? "data") !== kind) return undefined;
  return {
    id: wire.id,
    kind,
    codec,
    name: wire.name,
    // Time bases with a numerator are folded into the ticks, which are multiplied by it on the way in.
    timescale: wire.timebaseDen,
    bitrate: wire.bitrate,
    ...(kind === "video" && { video: { width: wire.width, height: wire.height, framerate: wire.framerate } }),
    ...(kind === "audio" && { audio: { sampleRate: wire.samplerate, channels: channelsOf(wire.layout) } }),
    ...(wire.decoderConfig && { decoderConfig: wire.decoderConfig }),
    ...(language !== undefined && { language }),
    ...(subtitle && { subtitle }),
  };
}

function toPlaylist(wire: OvtWirePlaylist): Playlist {
  return {
    ...wire,
    renditions: wire.renditions.map((rendition) => ({
      ...rendition,
      videoIndexHint: rendition.videoIndexHint ?? -1,
      audioIndexHint: rendition.audioIndexHint ?? -1,
    })),
  };
}

function channelsOf(layout: number): number {
  let count = 0;
  for (let rest = layout; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/** What an origin measured of a track whose source does not say it. */
export interface TrackMeasure {
  readonly bitrate: number;
  readonly framerate: number;
}

export interface PublishedStream {
  readonly name: StreamName;
  readonly description: StreamDescription;
  /** This process, for peers' monitoring. */
  readonly serverId: string;
  readonly nodeId: string;
  readonly measures: ReadonlyMap<number, TrackMeasure>;
}

/**
 * What an origin answers to a describe. Tracks OVT does not carry are left out.
 * @param isForHearth the edge is a Hearth node; others are not told of what they cannot take
 */
export function toOvtDescription(
  { name, description, serverId, nodeId, measures }: PublishedStream,
  isForHearth = true,
): OvtDescription {
  const tracks = description.tracks.filter(({ codec }) => isForHearth || !isForHearthOnly(codec));
  const appName = `#${withoutHash(name.vhost)}#${withoutHash(name.app)}`;
  const languages: Record<string, string> = {};
  for (const { id, language } of description.tracks) if (language !== undefined) languages[id] = language;
  const subtitles = description.tracks.flatMap(({ id, subtitle }) => (subtitle ? [[id, subtitle] as const] : []));
  return {
    appName,
    streamName: name.stream,
    originStreamUuid: `${serverId}/${appName}/${name.stream}/i`,
    playlists: description.playlists.map((playlist) => ({ ...playlist })),
    tracks: tracks.flatMap((track) => toWireTrack(track, measures.get(track.id)) ?? []),
    extension: serializeHearthDescription({
      epochMs: description.epochMs,
      isEpochShared: description.isEpochShared,
      originId: description.originId,
      path: [...description.path, nodeId],
      languages,
      ...(subtitles.length > 0 && { subtitles: Object.fromEntries(subtitles) }),
      discontinuities: description.discontinuities ?? 0,
      ...(description.beganMs !== undefined && { beganMs: description.beganMs }),
    }),
  };
}

/** Internal names use `#` as their separator. */
export function withoutHash(name: string): string {
  return name.replaceAll("#", "_");
}

function toWireTrack(track: Track, measure: TrackMeasure | undefined): OvtWireTrack | undefined {
  const codecId = codecIdOf(track.codec);
  if (codecId === undefined) return undefined;
  return {
    id: track.id,
    name: track.name === "" ? defaultNames[track.kind] : track.name,
    codecId,
    mediaType: ovtMediaType[track.kind],
    timebaseNum: 1,
    timebaseDen: track.timescale,
    bitrate: Math.round(track.bitrate > 0 ? track.bitrate : (measure?.bitrate ?? 0)),
    framerate: track.video ? track.video.framerate || (measure?.framerate ?? 0) : 0,
    width: track.video?.width ?? 0,
    height: track.video?.height ?? 0,
    samplerate: track.audio?.sampleRate ?? 0,
    sampleFormat: -1,
    layout: layouts[track.audio?.channels ?? 0] ?? 0,
    ...(track.decoderConfig && { decoderConfig: track.decoderConfig }),
  };
}
