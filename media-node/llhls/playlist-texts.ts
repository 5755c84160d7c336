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

  media(stream: StreamOutput, track: TrackOutput, { isDelta, isLegacy, isRewind }: Directives): PreparedText {
    const siblings = stream.tracks.filter((other) => other !== track && other.type === track.type);
    // Reports on siblings are part of the text.
    const own = track.version + (track.rewind?.version ?? 0);
    const version = siblings.reduce((sum, sibling) => sum + sibling.version, own);
    let prepared = this.#prepared.get(track);
    if (!prepared) this.#prepared.set(track, (prepared = { version, texts: [] }));
    if (prepared.version !== version) {
      prepared.version = version;
      prepared.texts.length = 0;
    }
    const kind = (isDelta ? 1 : 0) + (isLegacy ? 2 : 0) + (isRewind ? 4 : 0);
    const { epochMs } = stream.stream.description;
    const options = { ...this.#options, epochMs, siblings, isDelta, isLegacy, isRewind };
    return (prepared.texts[kind] ??= new PreparedText(mediaPlaylist(track, options)));
  }
}
