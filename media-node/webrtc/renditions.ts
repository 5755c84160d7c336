import type { Codec } from "../codecs/codec.ts";
import type { Playlist, Rendition } from "../core/track.ts";
import type { Stream } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { bitstreamProfileOf, type BitstreamProfile } from "./bitstream-profile.ts";
import type { PlayableTracks } from "./playable-tracks.ts";

/** A rendition with the tracks it stands for; at least one of them is there. */
export interface PlayableRendition {
  readonly name: string;
  readonly video: Track | undefined;
  readonly audio: Track | undefined;
}

/** A playlist reduced to what WebRTC can carry; at least one rendition. */
export interface PlayablePlaylist {
  readonly name: string;
  readonly fileName: string;
  readonly isAuto: boolean;
  readonly renditions: readonly PlayableRendition[];
  /** Of its VP9 and AV1 tracks, by their codec: tracks of one codec are offered as one. */
  readonly profiles: Readonly<Partial<Record<Codec, BitstreamProfile>>>;
}

/** OvenMediaEngine's name of the playlist that needs no configuration. */
export const defaultPlaylistName = "webrtc_default";

/**
 * The playlist a viewer asked for.
 * @param fileName `""` = the default one: first video and first audio track that WebRTC can carry
 * @returns undefined when there is no such playlist, or nothing of it can be carried
 */
export function playablePlaylistOf(
  stream: Stream,
  fileName: string,
  playable: PlayableTracks,
  options: { readonly createDefaultPlaylist: boolean },
): PlayablePlaylist | undefined {
  const configured = stream.description.playlists.find((playlist) => playlist.fileName === fileName);
  const profiles = profilesOf(stream, playable);
  if (configured) return reduce(configured, playable, profiles);
  if ((fileName !== "" && fileName !== defaultPlaylistName) || !options.createDefaultPlaylist) return undefined;
  const rendition = { name: "default", video: playable.video[0], audio: playable.audio[0] };
  if (!rendition.video && !rendition.audio) return undefined;
  return { name: defaultPlaylistName, fileName: defaultPlaylistName, isAuto: false, renditions: [rendition], profiles };
}

function profilesOf(stream: Stream, { video }: PlayableTracks): PlayablePlaylist["profiles"] {
  const recent = stream.recentSamples();
  const profiles: Partial<Record<Codec, BitstreamProfile>> = {};
  for (const track of video) {
    const profile = bitstreamProfileOf(track, recent);
    if (profile) profiles[track.codec] ??= profile;
  }
  return profiles;
}

function reduce(
  playlist: Playlist,
  playable: PlayableTracks,
  profiles: PlayablePlaylist["profiles"],
): PlayablePlaylist | undefined {
  const renditions = playlist.renditions.flatMap((rendition) => resolve(rendition, playable));
  if (renditions.length === 0) return undefined;
  return { name: playlist.name, fileName: playlist.fileName, isAuto: playlist.webrtcAutoAbr, renditions, profiles };
}

/** A rendition whose picture cannot be carried is left out; one whose sound cannot is played without. */
function resolve(rendition: Rendition, playable: PlayableTracks): PlayableRendition[] {
  const video = named(playable.video, rendition.videoTrackName, rendition.videoIndexHint);
  const audio = named(playable.audio, rendition.audioTrackName, rendition.audioIndexHint);
  const lacksVideo = rendition.videoTrackName !== "" && !video;
  return lacksVideo || (!video && !audio) ? [] : [{ name: rendition.name, video, audio }];
}

function named(tracks: readonly Track[], name: string, indexHint: number): Track | undefined {
  if (name === "") return undefined;
  const sharing = tracks.filter((track) => track.name === name);
  return indexHint < 0 ? sharing[0] : (sharing[indexHint] ?? sharing[0]);
}

/** The renditions that can be switched to without a new offer: same codecs as negotiated. */
export function switchableRenditions(
  playlist: PlayablePlaylist,
  negotiated: { readonly video: string | undefined; readonly audio: string | undefined },
): PlayableRendition[] {
  return playlist.renditions.filter(
    ({ video, audio }) =>
      (video?.codec === negotiated.video || (!video && !negotiated.video)) &&
      (negotiated.audio === undefined || audio?.codec === negotiated.audio),
  );
}
