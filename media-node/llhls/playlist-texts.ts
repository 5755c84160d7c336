import type { Directives } from "./directives.ts";
import { mediaPlaylist } from "./media-playlist.ts";
import { PreparedText } from "./reply.ts";
import type { StreamOutput } from "./stream-output.ts";
import type { TrackOutput } from "./track-output.ts";

export interface PlaylistTextsOptions {
  readonly targetSeconds: number;
  readonly partHoldBackMs: number;
  readonly hasPreloadHint: boolean;
}

interface Prepared {
  version: number;
  readonly texts: (PreparedText | undefined)[];
}

/** The current text of every media playlist, written and compressed once however many viewers ask. */
export class PlaylistTexts {
  readonly #options: PlaylistTextsOptions;
  readonly #prepared = new WeakMap<TrackOutput, Prepared>();

  constructor(options: PlaylistTextsOptions) {
    this.#options = options;
  }

  media(
    stream: StreamOutput,
    track: TrackOutput,
    { isDelta, isLegacy, isRewind, isGapless = false }: Directives,
  ): PreparedText {
    const version = versionOf(stream, track);
    let prepared = this.#prepared.get(track);
    if (!prepared) this.#prepared.set(track, (prepared = { version, texts: [] }));
    if (prepared.version !== version) {
      prepared.version = version;
      prepared.texts.length = 0;
    }
    const kind = (isDelta ? 1 : 0) + (isLegacy ? 2 : 0) + (isRewind ? 4 : 0) + (isGapless ? 8 : 0);
    const known = prepared.texts[kind];
    if (known) return known;
    const siblings = stream.tracks.filter((other) => isSibling(other, track));
    const { epochMs } = stream.stream.description;
    const options = { ...this.#options, epochMs, siblings, isDelta, isLegacy, isRewind, isGapless };
    return (prepared.texts[kind] = new PreparedText(mediaPlaylist(track, options)));
  }
}

const isSibling = (other: TrackOutput, track: TrackOutput): boolean => other !== track && other.type === track.type;

/** Reports on siblings are part of the text. */
function versionOf(stream: StreamOutput, track: TrackOutput): number {
  let version = track.version + (track.rewind?.version ?? 0);
  for (const other of stream.tracks) if (isSibling(other, track)) version += other.version;
  return version;
}
