import type { Track } from "../core/track.ts";
import { quotable } from "./quotable.ts";
import type { StreamOutput } from "./stream-output.ts";
import type { TrackOutput } from "./track-output.ts";

/** The only group, named as in OvenMediaEngine. */
export const subtitleGroup = "subtitle";

/**
 * The subtitle tracks that a playlist offers: those whose origin says how to list them, from the first moment on and whether or
 * not a cue ever comes; others once a cue has come. OvenMediaEngine describes its subtitle tracks and sends nothing of
 * them: an entry in the player's menu that never shows anything would be all that came of it.
 */
export function listedSubtitles(output: StreamOutput, fileName: string, tracks: readonly Track[]): TrackOutput[] {
  return tracks.flatMap(({ id, kind, subtitle }) => {
    const isListed = subtitle ? !subtitle.exceptPlaylists?.includes(fileName) : output.hasCues(id);
    const track = kind === "subtitle" && isListed ? output.track(id) : undefined;
    return track?.lastCompleteMsn === undefined ? [] : [track];
  });
}

/** One `EXT-X-MEDIA` for each (RFC 8216bis §4.4.6.1). */
export function subtitleLines(
  subtitles: readonly TrackOutput[],
  tracks: readonly Track[],
  uri: (output: TrackOutput) => string,
): string[] {
  const taken = new Set<string>();
  let hasDefault = false;
  return subtitles.map((output) => {
    const { language, name, subtitle } = tracks.find(({ id }) => id === output.trackId) ?? {};
    const own = quotable(subtitle?.label || name || "") || `Subtitle_${output.trackId}`;
    // Each name stands once in a group.
    const label = taken.has(own) ? `${own}_${output.trackId}` : own;
    taken.add(label);
    const isDefault = !hasDefault && subtitle?.isDefault === true;
    hasDefault ||= isDefault;
    const flags = [
      `DEFAULT=${yesNo(isDefault)}`,
      // What is shown by default may be chosen, too (RFC 8216bis §4.4.6.1).
      `AUTOSELECT=${yesNo(isDefault || subtitle?.isAutoSelect === true)}`,
      `FORCED=${yesNo(subtitle?.isForced === true)}`,
      ...(language ? [`LANGUAGE="${quotable(language)}"`] : []),
    ];
    return `#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="${subtitleGroup}",NAME="${label}",${flags.join(",")},URI="${uri(output)}"`;
  });
}

const yesNo = (is: boolean): string => (is ? "YES" : "NO");
