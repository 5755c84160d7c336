import { haveSameBytes } from "../bytes/same-bytes.ts";
import type { Track } from "./track.ts";

/** Whether decoders can go on without being set up anew; subtitles need none. */
export function haveSameTracks(one: readonly Track[], other: readonly Track[]): boolean {
  const before = one.filter(isDecoded);
  const after = other.filter(isDecoded);
  return (
    before.length === after.length &&
    before.every((track, index) => {
      const other = after[index]!;
      return (
        track.id === other.id &&
        track.codec === other.codec &&
        track.timescale === other.timescale &&
        haveSameBytes(track.decoderConfig, other.decoderConfig)
      );
    })
  );
}

const isDecoded = ({ kind }: Track): boolean => kind !== "subtitle";
