import type { Playlist, Rendition, Track } from "../core/track.ts";
import type { Packaging } from "./cmaf-track-of.ts";
import { quotable } from "./quotable.ts";
import { subtitleGroup, subtitleLines } from "./subtitle-renditions.ts";
import type { TrackOutput } from "./track-output.ts";

/** One line of choice in a master playlist. */
export interface Variant {
  readonly video?: TrackOutput;
  readonly audio?: TrackOutput;
}

/** The names that stand for "first video and first audio" where the source names no playlist of its own. */
const defaultPlaylists: Record<Packaging, readonly string[]> = { fmp4: ["llhls", "master"], mpegts: ["playlist"] };

/**
 * What a master playlist of this name offers.
 * @returns undefined when the stream has no playlist of this name
 */
export function variantsOf(
  fileName: string,
  { playlists, tracks }: { readonly playlists: readonly Playlist[]; readonly tracks: readonly Track[] },
  outputOf: (trackId: number) => TrackOutput | undefined,
  hasDefaultPlaylist = true,
  packaging: Packaging = "fmp4",
): Variant[] | undefined {
  const named = playlists.find((playlist) => playlist.fileName === fileName);
  if (!named && !(hasDefaultPlaylist && defaultPlaylists[packaging].includes(fileName))) return undefined;
  const variants = (named?.renditions ?? []).map((rendition) => variantOf(rendition, tracks, outputOf));
  const usable = variants.filter(({ video, audio }) => video ?? audio);
  return usable.length > 0 ? usable : [firstOfEach(tracks, outputOf)];
}

function variantOf(
  rendition: Rendition,
  tracks: readonly Track[],
  outputOf: (id: number) => TrackOutput | undefined,
): Variant {
  const choose = (kind: string, name: string, hint: number): TrackOutput | undefined => {
    if (name === "") return undefined;
    const ofName = tracks.filter((track) => track.kind === kind && track.name === name);
    const hinted = hint >= 0 && ofName[hint] ? outputOf(ofName[hint].id) : undefined;
    return hinted ?? ofName.map((track) => outputOf(track.id)).find((output) => output !== undefined);
  };
  const video = choose("video", rendition.videoTrackName, rendition.videoIndexHint);
  const audio = choose("audio", rendition.audioTrackName, rendition.audioIndexHint);
  return { ...(video && { video }), ...(audio && { audio }) };
}

function firstOfEach(tracks: readonly Track[], outputOf: (id: number) => TrackOutput | undefined): Variant {
  const first = (kind: string): TrackOutput | undefined =>
    tracks
      .filter((track) => track.kind === kind)
      .map((track) => outputOf(track.id))
      .find((output) => output !== undefined);
  const video = first("video");
  const audio = first("audio");
  return { ...(video && { video }), ...(audio && { audio }) };
}

export interface MasterPlaylistOptions {
  /** Tracks of the source, for names and languages. */
  readonly tracks: readonly Track[];
  /** Appended to every URI, without `?`; may be empty. */
  readonly childQuery: string;
  /** Path before the children's names, for a viewer who asked under another one: `/app/stream/`. */
  readonly childPath?: string;
  /** Of the source, as this playlist lists them. */
  readonly subtitles?: readonly TrackOutput[];
}

/** The master playlist (RFC 8216bis §4.4.6) with measured bit rates. */
export function masterPlaylist(variants: readonly Variant[], options: MasterPlaylistOptions): string {
  const { tracks, childQuery, childPath = "", subtitles = [] } = options;
  const uri = (output: TrackOutput): string => `${childPath}${output.playlistUri}${childQuery && `?${childQuery}`}`;
  const lines = ["#EXTM3U", "#EXT-X-VERSION:9"];
  const audios = [...new Set(variants.filter(({ video }) => video).map(({ audio }) => audio))].filter(
    (a) => a !== undefined,
  );
  for (const [index, audio] of audios.entries()) {
    lines.push(
      mediaLine(
        audio,
        // Groups differ in their encoding alone: each has its default (RFC 8216bis §4.4.6.1.1).
        !audios.slice(0, index).some((other) => groupOf(other) === groupOf(audio)),
        uri(audio),
        tracks.find((track) => track.id === audio.trackId),
        audios.slice(0, index).map((other) => nameOf(other, tracks)),
      ),
    );
  }
  lines.push(...subtitleLines(subtitles, tracks, uri));
  const group = subtitles.length > 0 ? `,SUBTITLES="${subtitleGroup}"` : "";
  for (const variant of variants) {
    lines.push(variantLine(variant, tracks) + group, uri((variant.video ?? variant.audio)!));
  }
  return `${lines.join("\n")}\n`;
}

const groupOf = (audio: TrackOutput): string => `audio_${audio.track.codec}`;

function nameOf({ trackId }: TrackOutput, tracks: readonly Track[]): string {
  return quotable(tracks.find(({ id }) => id === trackId)?.name || `Audio_${trackId}`);
}

/** @param taken names of others; each stands once in a group (RFC 8216bis §4.4.6.1.1), while tracks may share theirs */
function mediaLine(
  audio: TrackOutput,
  isDefault: boolean,
  uri: string,
  track: Track | undefined,
  taken: readonly string[],
): string {
  const own = nameOf(audio, track ? [track] : []);
  const name = taken.includes(own) ? `${own}_${audio.trackId}` : own;
  const language = track?.language ? `,LANGUAGE="${quotable(track.language)}"` : "";
  const flags = `DEFAULT=${isDefault ? "YES" : "NO"},AUTOSELECT=YES,CHANNELS="${audio.track.channels}"`;
  return `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${groupOf(audio)}",NAME="${name}",${flags}${language},URI="${uri}"`;
}

function variantLine({ video, audio }: Variant, tracks: readonly Track[]): string {
  const parts = [video, audio].filter((output) => output !== undefined);
  const sum = (of: (output: TrackOutput) => number): number => parts.reduce((total, output) => total + of(output), 0);
  const attributes = [
    `BANDWIDTH=${Math.max(
      1,
      sum(({ bitrate }) => bitrate.peak),
    )}`,
    `AVERAGE-BANDWIDTH=${Math.max(
      1,
      sum(({ bitrate }) => bitrate.average),
    )}`,
    `CODECS="${[...new Set(parts.map(({ codecs }) => codecs))].join(",")}"`,
  ];
  if (video) {
    attributes.push(`RESOLUTION=${video.track.width}x${video.track.height}`);
    const framerate = tracks.find((track) => track.id === video.trackId)?.video?.framerate ?? 0;
    if (framerate > 0) attributes.push(`FRAME-RATE=${framerate.toFixed(3)}`);
    if (audio) attributes.push(`AUDIO="${groupOf(audio)}"`);
    attributes.push("CLOSED-CAPTIONS=NONE");
  }
  return `#EXT-X-STREAM-INF:${attributes.join(",")}`;
}
