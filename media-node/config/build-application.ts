import type { applicationSchema } from "./application-schema.ts";
import type { crossDomainsSchema } from "./cross-domains-schema.ts";
import type { ValueOf } from "./schema.ts";
import type {
  ApplicationConfig,
  CrossDomainsConfig,
  HlsPublisherConfig,
  LlhlsPublisherConfig,
  ProviderName,
  SubtitlesConfig,
  WebrtcPublisherConfig,
} from "./server-config.ts";

type ApplicationValue = NonNullable<ValueOf<typeof applicationSchema>>;
type PublishersValue = NonNullable<ApplicationValue["Publishers"]>;

/** One `<Application>` as the rooms take it. */
export function buildApplication(value: ApplicationValue): ApplicationConfig {
  const publishers = value.Publishers;
  const providers: ProviderName[] = [];
  if (value.Providers?.OVT) providers.push("ovt");
  if (value.Providers?.RTSPPull) providers.push("rtsp");
  const subtitles = buildSubtitles(value.OutputProfiles);
  return {
    name: value.Name,
    isTemplate: value.Name === "*",
    providers,
    ...(subtitles && { subtitles }),
    publishers: {
      ovt: publishers?.OVT !== undefined,
      ...(publishers?.WebRTC && { webrtc: buildWebrtc(publishers.WebRTC, publishers) }),
      ...(publishers?.LLHLS && { llhls: buildLlhls(publishers.LLHLS) }),
      ...(publishers?.HLS && { hls: buildHls(publishers.HLS, publishers.LLHLS === undefined) }),
    },
  };
}

/** More than any player lists. */
const maxRenditions = 64;

function buildSubtitles(profiles: ApplicationValue["OutputProfiles"]): SubtitlesConfig | undefined {
  const value = profiles?.MediaOptions?.Subtitles;
  if (!profiles || !value?.Enable) return undefined;
  const byLabel = new Map(value.Rendition.toReversed().map((rendition) => [rendition.Label.trim(), rendition]));
  const labels = [...byLabel.keys()].reverse().filter((label) => label !== "");
  const playlists = profiles.OutputProfile.flatMap(({ Playlist }) => Playlist);
  return {
    renditions: labels.slice(0, maxRenditions).map((label) => {
      const { AutoSelect, Forced, Language } = byLabel.get(label)!;
      const isDefault = label === value.DefaultLabel.trim();
      return { label, language: Language.trim(), isDefault, isAutoSelect: AutoSelect, isForced: Forced };
    }),
    exceptPlaylists: playlists.flatMap(({ FileName, Options }) =>
      Options?.EnableSubtitles === false ? [FileName] : [],
    ),
  };
}

/** `undefined` where the element is absent: then the next wider setting holds. */
export function buildCrossDomains(value: ValueOf<typeof crossDomainsSchema>): CrossDomainsConfig | undefined {
  if (!value) return undefined;
  return { urls: value.Url, headers: value.Header.map(({ Key, Value }) => ({ key: Key, value: Value })) };
}

function buildWebrtc(
  value: NonNullable<PublishersValue["WebRTC"]>,
  { AppWorkerCount, StreamWorkerCount }: NonNullable<PublishersValue>,
): WebrtcPublisherConfig {
  const crossDomains = buildCrossDomains(value.CrossDomains);
  return {
    timeoutMs: value.Timeout,
    ...(value.Rtx !== undefined && { hasRtx: value.Rtx }),
    ...(value.PlayoutDelay && { playoutDelay: buildPlayoutDelay(value.PlayoutDelay) }),
    ...(value.BandwidthEstimation === "REMB" && { bandwidthEstimation: "REMB" as const }),
    hasDefaultPlaylist: value.CreateDefaultPlaylist,
    maxStreamThreads: StreamWorkerCount,
    maxAppThreads: Math.max(1, AppWorkerCount) * StreamWorkerCount,
    ...(crossDomains && { crossDomains }),
  };
}

/** Players drop an extension whose limits contradict each other. */
const buildPlayoutDelay = ({ Min, Max }: { readonly Min: number; readonly Max: number }) => ({
  minMs: Min,
  maxMs: Math.max(Min, Max),
});

function buildLlhls(value: NonNullable<PublishersValue["LLHLS"]>): LlhlsPublisherConfig {
  const crossDomains = buildCrossDomains(value.CrossDomains);
  const queries = new Map(value.DefaultQueryString?.Query.map(({ Key, Value }) => [Key, isYes(Value)]));
  const { CacheControl: cache, DVR: dvr } = value;
  const folder = dvr?.TempStoragePath?.trim();
  return {
    chunkDurationMs: Math.round(value.ChunkDuration * 1_000),
    segmentDurationMs: Math.round(value.SegmentDuration * 1_000),
    segmentCount: value.SegmentCount,
    partHoldBackMs: Math.round(value.PartHoldBack * 1_000),
    hasPreloadHint: value.EnablePreloadHint,
    hasDefaultPlaylist: value.CreateDefaultPlaylist,
    defaults: { legacy: queries.get("_HLS_legacy") ?? false, rewind: queries.get("_HLS_rewind") ?? true },
    ...(dvr?.Enable && { dvr: { ...(folder && { folder }), windowMs: Math.round(dvr.MaxDuration * 1_000) } }),
    maxAge: {
      ...(cache?.$.has("MasterPlaylistMaxAge") && { masterPlaylist: cache.MasterPlaylistMaxAge }),
      ...(cache?.$.has("ChunklistMaxAge") && { chunklist: cache.ChunklistMaxAge }),
      ...(cache?.$.has("ChunklistWithDirectivesMaxAge") && {
        chunklistWithDirectives: cache.ChunklistWithDirectivesMaxAge,
      }),
      ...(cache?.$.has("SegmentMaxAge") && { segment: cache.SegmentMaxAge }),
      ...(cache?.$.has("PartialSegmentMaxAge") && { part: cache.PartialSegmentMaxAge }),
    },
    ...(crossDomains && { crossDomains }),
  };
}

function buildHls(value: NonNullable<PublishersValue["HLS"]>, isPlainTaken: boolean): HlsPublisherConfig {
  const crossDomains = buildCrossDomains(value.CrossDomains);
  const { CacheControl: cache } = value;
  return {
    segmentDurationMs: Math.round(value.SegmentDuration * 1_000),
    segmentCount: value.SegmentCount,
    hasDefaultPlaylist: value.CreateDefaultPlaylist,
    isPlainTaken,
    maxAge: {
      ...(cache?.$.has("MasterPlaylistMaxAge") && { masterPlaylist: cache.MasterPlaylistMaxAge }),
      ...(cache?.$.has("ChunklistMaxAge") && { chunklist: cache.ChunklistMaxAge }),
      ...(cache?.$.has("SegmentMaxAge") && { segment: cache.SegmentMaxAge }),
    },
    ...(crossDomains && { crossDomains }),
  };
}

function isYes(value: string): boolean {
  return ["yes", "true", "1"].includes(value.trim().toLowerCase());
}
