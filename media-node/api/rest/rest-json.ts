import type { ApplicationConfig, PublishersConfig, VhostConfig } from "../../config/server-config.ts";
import type { BookEntry, Figures } from "../../core/statistics-book.ts";
import type { ListedStream } from "../../core/stream-hub.ts";
import type { Playlist, Track } from "../../core/track.ts";
import type { TrackMeasure } from "../../core/stream-meter.ts";
import { withoutSecrets } from "../../flow/logger.ts";

/** A virtual host as `GET /vhosts/{vhost}` shows it; secrets are left out. */
export function vhostJson({ name, hostNames, origins, originMapStore }: VhostConfig): unknown {
  const { properties, rules } = origins;
  return {
    name,
    host: { names: hostNames },
    origins: {
      properties: {
        noInputFailoverTimeout: properties.noInputFailoverTimeoutMs,
        unusedStreamDeletionTimeout: properties.unusedStreamDeletionTimeoutMs,
        streamFailbackTimeout: properties.streamFailbackTimeoutMs,
        ...(properties.retryCount !== undefined && { retryCount: properties.retryCount }),
      },
      origin: rules.map(({ location, scheme, urls, forwardQueryParams, isPersistent, isStrict }) => ({
        location,
        pass: { scheme, urls: { url: urls.map((url) => withoutSecrets(`//${url}`).slice(2)) }, forwardQueryParams },
        persistent: isPersistent,
        strictLocation: isStrict,
      })),
    },
    ...(originMapStore && { originMapStore: storeJson(originMapStore) }),
  };
}

function storeJson({ redis, originHostName }: NonNullable<VhostConfig["originMapStore"]>): unknown {
  return {
    ...(redis && { redisServer: { host: `${redis.host}:${redis.port}` } }),
    ...(originHostName && { originHostName }),
  };
}

export function appJson({ name, providers, publishers }: ApplicationConfig, isDynamic: boolean): unknown {
  const { ovt, webrtc, llhls, hls } = publishers;
  return {
    name,
    type: "live",
    dynamic: isDynamic,
    providers: { ...(providers.includes("ovt") && { ovt: {} }), ...(providers.includes("rtsp") && { rtspPull: {} }) },
    publishers: {
      ...(ovt && { ovt: {} }),
      ...(webrtc && {
        webrtc: { timeout: webrtc.timeoutMs, ...(webrtc.hasRtx !== undefined && { rtx: webrtc.hasRtx }) },
      }),
      ...(llhls && {
        llhls: {
          chunkDuration: llhls.chunkDurationMs / 1_000,
          segmentDuration: llhls.segmentDurationMs / 1_000,
          segmentCount: llhls.segmentCount,
        },
      }),
      ...(hls && { hls: { segmentDuration: hls.segmentDurationMs / 1_000, segmentCount: hls.segmentCount } }),
    },
  };
}

/** A stream as `GET …/streams/{stream}` shows it. `outputs` is empty for what is relayed by OVT, as in OvenMediaEngine. */
export function streamJson(
  { stream, pull }: ListedStream,
  entry: BookEntry | undefined,
  { publishers }: ApplicationConfig,
): unknown {
  const url = pull?.state.phase === "live" ? pull.state.url : pull?.plan.urls[0];
  const measures = new Map(entry?.meter.tracks.map((measure) => [measure.track.id, measure]));
  const tracks = stream.description.tracks.map((track) => trackJson(track, measures.get(track.id)));
  const sourceType = sourceTypeOf(url);
  const isRelayed = sourceType === "Ovt" && pull?.from !== "api";
  const { tracks: all, playlists: announced } = stream.description;
  const playlists = [...announced.map(playlistJson), ...defaultPlaylists(publishers, all)];
  return {
    name: stream.name.stream,
    input: {
      sourceType,
      sourceUrl: url === undefined ? "" : withoutSecrets(url),
      createdTime: isoTime(entry?.figures.createdWallMs ?? 0),
      tracks,
    },
    outputs: isRelayed ? [] : [{ name: stream.name.stream, tracks, playlists }],
  };
}

function playlistJson({ name, fileName, renditions, ...options }: Playlist): unknown {
  const { webrtcAutoAbr, hlsChunklistPathDepth, enableTsPackaging } = options;
  return {
    name,
    fileName,
    options: { webrtcAutoAbr, hlsChunklistPathDepth, enableTsPackaging },
    renditions: renditions.map((rendition) => ({
      name: rendition.name,
      videoVariantName: rendition.videoTrackName,
      audioVariantName: rendition.audioTrackName,
    })),
  };
}

/** Those that publishers make by themselves, under OvenMediaEngine's names. */
function defaultPlaylists({ llhls, hls, webrtc }: PublishersConfig, tracks: readonly Track[]): unknown[] {
  const nameOf = (kind: Track["kind"]): string => tracks.find((track) => track.kind === kind)?.name ?? "";
  const [videoTrackName, audioTrackName] = [nameOf("video"), nameOf("audio")];
  const renditions = [{ name: "default", videoTrackName, audioTrackName, videoIndexHint: -1, audioIndexHint: -1 }];
  const made = (name: string, fileName: string, enableTsPackaging = false): unknown =>
    playlistJson({ name, fileName, webrtcAutoAbr: true, hlsChunklistPathDepth: -1, enableTsPackaging, renditions });
  return [
    ...(llhls?.hasDefaultPlaylist ? [made("llhls_default", "llhls")] : []),
    ...(hls?.hasDefaultPlaylist ? [made("hls_default", "playlist", true)] : []),
    ...(webrtc?.hasDefaultPlaylist ? [made("webrtc_default", "webrtc_default")] : []),
  ];
}

function trackJson(track: TrackMeasure["track"], measure: TrackMeasure | undefined): unknown {
  const { id, name, kind, codec, bitrate, video, audio } = track;
  const type = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
  const rates = {
    bitrate: measure?.bitrate || bitrate,
    bitrateConf: bitrate,
    bitrateLatest: measure?.bitrate ?? 0,
    bitrateAvg: measure?.bitrate ?? 0,
  };
  const timebase = { num: 1, den: track.timescale };
  const codecName = codec === "opus" ? "OPUS" : codec.toUpperCase();
  if (kind === "video") {
    const framerate = measure?.framerate ?? 0;
    return {
      id,
      name,
      type,
      video: {
        bypass: true,
        codec: codecName,
        width: video?.width ?? 0,
        height: video?.height ?? 0,
        maxWidth: video?.width ?? 0,
        maxHeight: video?.height ?? 0,
        framerate: framerate || (video?.framerate ?? 0),
        framerateConf: video?.framerate ?? 0,
        framerateLatest: framerate,
        framerateAvg: framerate,
        ...rates,
        hasBframes: measure?.hasBframes ?? false,
        keyFrameInterval: measure?.groupLength ?? 0,
        keyFrameIntervalConf: 0,
        keyFrameIntervalLatest: measure?.groupLength ?? 0,
        keyFrameIntervalAvg: measure?.groupLength ?? 0,
        deltaFramesSinceLastKeyFrame: measure?.sinceKeyframe ?? 0,
        timebase,
      },
    };
  }
  if (kind !== "audio") return { id, name, type };
  const { sampleRate = 0, channels = 0 } = audio ?? {};
  return {
    id,
    name,
    type,
    audio: { bypass: true, codec: codecName, samplerate: sampleRate, channel: channels, ...rates, timebase },
  };
}

const sourceTypes: Record<string, string> = {
  ovt: "Ovt",
  ovts: "Ovt",
  rtsp: "RtspPull",
  rtsps: "RtspPull",
  file: "File",
};

function sourceTypeOf(url: string | undefined): string {
  return sourceTypes[url?.slice(0, url.indexOf(":")).toLowerCase() ?? ""] ?? "Unknown";
}

/** Statistics under OvenMediaEngine's names. Bits a second, but for `lastThroughput…`, which it gives in bytes. */
export function figuresJson(figures: Figures, nowWallMs: number): Record<string, unknown> {
  const seconds = Math.max(1, (nowWallMs - figures.createdWallMs) / 1_000);
  return {
    connections: {
      webrtc: 0,
      llhls: 0,
      ovt: 0,
      file: 0,
      push: 0,
      thumbnail: 0,
      hls: 0,
      hlsv3: 0,
      srt: 0,
      ...figures.connections,
    },
    createdTime: isoTime(figures.createdWallMs),
    lastUpdatedTime: isoTime(figures.updatedWallMs),
    lastRecvTime: isoTime(figures.lastReceivedWallMs),
    lastSentTime: isoTime(figures.lastSentWallMs),
    totalBytesIn: figures.bytesIn,
    totalBytesOut: figures.bytesOut,
    avgThroughputIn: Math.round((figures.bytesIn * 8) / seconds),
    avgThroughputOut: Math.round((figures.bytesOut * 8) / seconds),
    maxThroughputIn: figures.maxBytesIn * 8,
    maxThroughputOut: figures.maxBytesOut * 8,
    lastThroughputIn: figures.lastBytesIn,
    lastThroughputOut: figures.lastBytesOut,
    totalConnections: figures.totalConnections,
    maxTotalConnections: figures.maxTotalConnections,
    maxTotalConnectionTime: isoTime(figures.maxTotalConnectionsWallMs),
  };
}

/** What came of the last pull of a stream; a stream that is not pulled has none of it. */
export function pullJson(pull: ListedStream["pull"]): Record<string, unknown> {
  if (!pull) return {};
  const { connectMs, answerMs } = pull.openTimes;
  return {
    requestTimeToOrigin: Math.round(connectMs),
    responseTimeFromOrigin: Math.round(answerMs),
    failovers: pull.failovers,
  };
}

/** `gitVersion` has the shape that scripts take apart. */
export function versionJson(version: string): unknown {
  return { version, gitVersion: `v${version}`, server: "Hearth" };
}

/** ISO 8601 with milliseconds and offset. */
export function isoTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "+00:00");
}
