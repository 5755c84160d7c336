import { ProtocolError } from "../flow/errors.ts";
import { hearthKey } from "./ovt-message.ts";
import { intOf, isList, membersOf, uintOf, WireDouble, type WireJson, type WireMembers } from "./wire-json.ts";

/** The version of the description that every OvenMediaEngine since 0.15.12 writes. */
export const ovtDescriptionVersion = 0x12;

export interface OvtWireTrack {
  readonly id: number;
  readonly name: string;
  readonly codecId: number;
  readonly mediaType: number;
  readonly timebaseNum: number;
  readonly timebaseDen: number;
  /** Bits per second; 0 = unknown. */
  readonly bitrate: number;
  readonly framerate: number;
  readonly width: number;
  readonly height: number;
  readonly samplerate: number;
  readonly sampleFormat: number;
  /** Bit mask of loudspeakers; 0 = unknown. */
  readonly layout: number;
  readonly decoderConfig?: Uint8Array;
}

export interface OvtWireRendition {
  readonly name: string;
  readonly videoTrackName: string;
  readonly audioTrackName: string;
  /** Undefined before 0.19; −1 = unset. */
  readonly videoIndexHint?: number;
  readonly audioIndexHint?: number;
}

export interface OvtWirePlaylist {
  readonly name: string;
  readonly fileName: string;
  readonly webrtcAutoAbr: boolean;
  readonly hlsChunklistPathDepth: number;
  readonly enableTsPackaging: boolean;
  readonly renditions: readonly OvtWireRendition[];
}

/** The `contents` of a describe response, numbers as they stand on the wire. */
export interface OvtDescription {
  readonly appName: string;
  readonly streamName: string;
  /** `""` when absent. */
  readonly originStreamUuid: string;
  readonly playlists: readonly OvtWirePlaylist[];
  readonly tracks: readonly OvtWireTrack[];
  /** What a Hearth origin adds; untrusted. */
  readonly extension?: WireJson;
}

const limits = { tracks: 256, playlists: 64, renditions: 256, nameLength: 1024, configBytes: 65_536 };
/** Track ids are indexed as signed 32-bit numbers by others. */
const maxTrackId = 0x7fff_ffff;

const bad = (what: string): ProtocolError => new ProtocolError("OVT_DESCRIPTION", `the stream description ${what}`);

/**
 * Tracks and playlists that cannot be used are left out; the others play.
 * @throws {ProtocolError} when the description lacks what an edge needs, or exceeds a limit
 */
export function parseOvtDescription(contents: WireJson): OvtDescription {
  const members = membersOf(contents);
  if (uintOf(members?.["version"]) === undefined) throw bad("has no version: the origin is too old");
  const stream = membersOf(members!["stream"]);
  if (!stream) throw bad("has no stream");
  const tracks = usable(listOf(stream["tracks"], limits.tracks, "tracks"), parseTrack);
  if (new Set(tracks.map((track) => track.id)).size !== tracks.length) throw bad("names a track id twice");
  const playlists = stream["playlists"] ?? [];
  const extension = members![hearthKey];
  return {
    appName: nameOf(stream["appName"]),
    streamName: nameOf(stream["streamName"]),
    originStreamUuid: nameOf(stream["originStreamUUID"]),
    playlists: withUniqueFiles(
      usable(isList(playlists) ? playlists.slice(0, limits.playlists) : [], parsePlaylist, []),
    ),
    tracks,
    ...(extension !== undefined && { extension }),
  };
}

/** Inverse of {@link parseOvtDescription}. `options`, `renditions` and both format objects are always there. */
export function serializeOvtDescription(description: OvtDescription): WireJson {
  const { appName, streamName, originStreamUuid, playlists, tracks, extension } = description;
  return {
    version: ovtDescriptionVersion,
    stream: {
      appName,
      streamName,
      originStreamUUID: originStreamUuid,
      playlists: playlists.length > 0 ? playlists.map(serializePlaylist) : null,
      tracks: tracks.map(serializeTrack),
    },
    [hearthKey]: extension,
  };
}

function parseTrack(value: WireJson): OvtWireTrack {
  const track = membersOf(value);
  if (!track) throw bad("has a track that is no object");
  const id = uint(track, "id", maxTrackId);
  const video = membersOf(track["videoTrack"]) ?? {};
  const audio = membersOf(track["audioTrack"]) ?? {};
  const timebaseDen = uint(track, "timebaseDen");
  const timebaseNum = uint(track, "timebaseNum");
  if (timebaseDen === 0 || timebaseNum === 0) throw bad(`gives track ${id} no time base`);
  const decoderConfig = parseConfig(track["decoderConfig"]);
  return {
    id,
    name: nameOf(track["name"]),
    codecId: uint(track, "codecId"),
    mediaType: uint(track, "mediaType"),
    timebaseNum,
    timebaseDen,
    bitrate: bitrateOf(track["bitrate"]),
    framerate: framerateOf(video["framerate"]),
    width: uintOf(video["width"]) ?? 0,
    height: uintOf(video["height"]) ?? 0,
    samplerate: uintOf(audio["samplerate"]) ?? 0,
    sampleFormat: intOf(audio["sampleFormat"]) ?? -1,
    layout: uintOf(audio["layout"]) ?? 0,
    ...(decoderConfig && { decoderConfig }),
  };
}

function serializeTrack(track: OvtWireTrack): WireJson {
  return {
    id: track.id,
    name: track.name,
    codecId: track.codecId,
    mediaType: track.mediaType,
    timebaseNum: track.timebaseNum,
    timebaseDen: track.timebaseDen,
    bitrate: track.bitrate,
    startFrameTime: 0,
    lastFrameTime: 0,
    videoTrack: { framerate: new WireDouble(track.framerate), width: track.width, height: track.height },
    audioTrack: { samplerate: track.samplerate, sampleFormat: track.sampleFormat, layout: track.layout },
    decoderConfig: track.decoderConfig && Buffer.from(track.decoderConfig).toString("base64"),
  };
}

function parsePlaylist(value: WireJson): OvtWirePlaylist {
  const playlist = membersOf(value);
  if (!playlist) throw bad("has a playlist that is no object");
  const options = membersOf(playlist["options"]) ?? {};
  return {
    name: textOf(playlist["name"], "name"),
    fileName: textOf(playlist["fileName"], "fileName"),
    webrtcAutoAbr: options["webrtcAutoAbr"] === true,
    hlsChunklistPathDepth: intOf(options["hlsChunklistPathDepth"]) ?? -1,
    enableTsPackaging: options["enableTsPackaging"] === true,
    renditions: listOf(playlist["renditions"] ?? [], limits.renditions, "renditions").map(parseRendition),
  };
}

function serializePlaylist(playlist: OvtWirePlaylist): WireJson {
  const { name, fileName, webrtcAutoAbr, hlsChunklistPathDepth, enableTsPackaging, renditions } = playlist;
  return {
    name,
    fileName,
    options: { webrtcAutoAbr, hlsChunklistPathDepth, enableTsPackaging },
    renditions: renditions.map((rendition) => ({ ...rendition })),
  };
}

function parseRendition(value: WireJson): OvtWireRendition {
  const rendition = membersOf(value);
  if (!rendition) throw bad("has a rendition that is no object");
  const videoIndexHint = intOf(rendition["videoIndexHint"]);
  const audioIndexHint = intOf(rendition["audioIndexHint"]);
  return {
    name: textOf(rendition["name"], "name"),
    videoTrackName: textOf(rendition["videoTrackName"], "videoTrackName"),
    audioTrackName: textOf(rendition["audioTrackName"], "audioTrackName"),
    ...(videoIndexHint !== undefined && { videoIndexHint }),
    ...(audioIndexHint !== undefined && { audioIndexHint }),
  };
}

/** Of playlists with one file name the first counts. */
function withUniqueFiles(playlists: readonly OvtWirePlaylist[]): OvtWirePlaylist[] {
  return [...new Map(playlists.toReversed().map((playlist) => [playlist.fileName, playlist])).values()].toReversed();
}

/**
 * What `parse` makes of each value, without those it refuses.
 * @param fallback where it refuses all of them; else the first refusal is thrown
 */
function usable<T>(values: readonly WireJson[], parse: (value: WireJson) => T, fallback?: readonly T[]): readonly T[] {
  const good: T[] = [];
  let refusal: unknown;
  for (const value of values) {
    try {
      good.push(parse(value));
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown;
      refusal ??= thrown;
    }
  }
  if (good.length > 0 || refusal === undefined) return good;
  if (fallback) return fallback;
  throw refusal;
}

/** For people and playlists alone: what is no name is `""`. */
function nameOf(value: unknown): string {
  return typeof value === "string" && value.length <= limits.nameLength ? value : "";
}

/** A hint: 0 where it is none. */
function bitrateOf(value: unknown): number {
  return typeof value === "number" && value > 0 && value < Number.MAX_SAFE_INTEGER ? Math.round(value) : 0;
}

function framerateOf(value: WireJson | undefined): number {
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? value : 0;
}

function listOf(value: WireJson | undefined, max: number, what: string): readonly WireJson[] {
  if (!isList(value)) throw bad(`has no list of ${what}`);
  if (value.length > max) throw bad(`has more than ${max} ${what}`);
  return value;
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== "string" || value.length > limits.nameLength) throw bad(`has no usable ${what}`);
  return value;
}

function uint(members: WireMembers, key: string, max?: number): number {
  const value = uintOf(members[key], max);
  if (value === undefined) throw bad(`has no usable ${key}`);
  return value;
}

/** A record that cannot be read counts as absent: parameter sets come in band as well. */
function parseConfig(value: unknown): Uint8Array | undefined {
  if (typeof value !== "string" || value.length === 0 || value.length > (limits.configBytes * 4) / 3) return undefined;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value) || value.length % 4 !== 0) return undefined;
  return new Uint8Array(Buffer.from(value, "base64"));
}
