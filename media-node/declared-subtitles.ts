import { findApplication } from "./config/find-application.ts";
import type { ServerConfig, SubtitlesConfig } from "./config/server-config.ts";
import type { OpenSource, Source } from "./core/source.ts";
import type { StreamDescription } from "./core/stream.ts";
import type { StreamName } from "./core/stream-name.ts";
import type { Track } from "./core/track.ts";

/** Far from what sources number, so that ids stay the same whatever tracks a camera has today. */
const firstTrackId = 1_000;

/** What Server.xml declares for a stream that begins here. */
export function subtitlesOf(config: ServerConfig, { vhost, app }: StreamName): SubtitlesConfig | undefined {
  const found = config.vhosts.find(({ name }) => name === vhost);
  const choice = found && findApplication(found, app);
  return choice?.kind === "application" ? choice.application.subtitles : undefined;
}

/** Sources whose streams begin at this node get the subtitle tracks that their application declares; cues come by the API. */
export function withDeclaredSubtitles(
  open: OpenSource,
  declaredFor: (name: StreamName) => SubtitlesConfig | undefined,
): OpenSource {
  return async (url, options) => {
    const source = await open(url, options);
    const declared = options.stream && declaredFor(options.stream);
    const tracks = options.isProbe ? [] : tracksOf(declared);
    return tracks.length === 0 ? source : extended(source, tracks);
  };
}

/** Described as in OvenMediaEngine: one name for all, milliseconds. */
function tracksOf(declared: SubtitlesConfig | undefined): Track[] {
  return (declared?.renditions ?? []).map(({ language, ...how }, index) => ({
    id: firstTrackId + index,
    kind: "subtitle",
    codec: "webvtt",
    name: "subtitle",
    timescale: 1_000,
    bitrate: 0,
    ...(language !== "" && { language }),
    subtitle: { ...how, ...(declared!.exceptPlaylists.length > 0 && { exceptPlaylists: declared!.exceptPlaylists }) },
  }));
}

function extended(source: Source, tracks: readonly Track[]): Source {
  const extend = (description: StreamDescription): StreamDescription => {
    const own = description.tracks.filter(({ id }) => tracks.every((track) => track.id !== id));
    return { ...description, tracks: [...own, ...tracks] };
  };
  return {
    get description() {
      return extend(source.description);
    },
    start: (sink) =>
      source.start({
        onSample: (sample) => sink.onSample(sample),
        onDescription: (description) => sink.onDescription(extend(description)),
        onEnd: (reason) => sink.onEnd(reason),
      }),
    ...(source.requestKeyframe && { requestKeyframe: (trackId: number) => source.requestKeyframe!(trackId) }),
    close: (reason) => source.close(reason),
  };
}
