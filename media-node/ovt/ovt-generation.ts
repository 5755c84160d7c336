import type { Codec } from "../codecs/codec.ts";

/**
 * OvenMediaEngine renumbered its codecs and bitstream formats twice without changing the version it announces:
 * g1 is 0.15.12–0.17.3, g2 is 0.18.0, g3 is 0.19.0 and later. Hearth sends g3.
 */
export type OvtGeneration = "g1" | "g2" | "g3";

/** What a bitstream format number means. Formats nobody sends over OVT have no name here. */
export type BitstreamFormat =
  | "h264-annexb"
  | "h265-annexb"
  | "vp8"
  | "aac-raw"
  | "aac-adts"
  | "opus"
  | "mp3"
  | "id3"
  | "event"
  | "cue"
  | "scte35"
  | "webvtt";

const oldCodecs: readonly [number, Codec][] = [
  [1, "h264"],
  [2, "h265"],
  [3, "vp8"],
  [6, "aac"],
  [7, "mp3"],
  [8, "opus"],
];
const newCodecs: readonly [number, Codec][] = [
  [1, "h264"],
  [2, "h265"],
  [3, "vp8"],
  [7, "aac"],
  [8, "mp3"],
  [9, "opus"],
  [13, "webvtt"],
];

/**
 * Between Hearth nodes alone: OvenMediaEngine has numbers for the first two and no format for their media, and does not know
 * the others; theirs are their names' first letters, far from its own.
 */
const hearthCodecs: readonly [number, Codec][] = [
  [4, "vp9"],
  [5, "av1"],
  [0x7075, "pcmu"],
  [0x7061, "pcma"],
];

const codecs: Record<OvtGeneration, ReadonlyMap<number, Codec>> = {
  g1: new Map(oldCodecs),
  g2: new Map(oldCodecs),
  g3: new Map(newCodecs),
};

const formats: Record<OvtGeneration, ReadonlyMap<number, BitstreamFormat>> = {
  g1: new Map([
    [1, "h264-annexb"],
    [3, "h265-annexb"],
    [4, "vp8"],
    [6, "aac-raw"],
    [8, "aac-adts"],
    [10, "opus"],
    [14, "id3"],
    [16, "mp3"],
    [17, "event"],
  ]),
  g2: new Map([
    [1, "h264-annexb"],
    [4, "h265-annexb"],
    [5, "vp8"],
    [7, "aac-raw"],
    [9, "aac-adts"],
    [11, "opus"],
    [13, "mp3"],
    [17, "id3"],
    [18, "event"],
    [19, "cue"],
  ]),
  g3: new Map([
    [1, "h264-annexb"],
    [4, "h265-annexb"],
    [6, "vp8"],
    [8, "aac-raw"],
    [10, "aac-adts"],
    [12, "opus"],
    [14, "mp3"],
    [18, "id3"],
    [19, "event"],
    [20, "cue"],
    [23, "scte35"],
    [24, "webvtt"],
  ]),
};

export function codecOf(generation: OvtGeneration, codecId: number): Codec | undefined {
  return codecs[generation].get(codecId);
}

/** A codec that only a Hearth origin may announce. */
export function hearthCodecOf(codecId: number): Codec | undefined {
  return hearthCodecs.find(([id]) => id === codecId)?.[1];
}

/** Whether OvenMediaEngine cannot take tracks of this codec: one of them would keep a stream from starting there. */
export function isForHearthOnly(codec: Codec): boolean {
  return hearthCodecs.some(([, known]) => known === codec);
}

export function formatOf(generation: OvtGeneration, bitstreamFormat: number): BitstreamFormat | undefined {
  return formats[generation].get(bitstreamFormat);
}

/** The g3 number of a codec; undefined when OVT does not carry it. */
export function codecIdOf(codec: Codec): number | undefined {
  return codec === "data" ? 0 : [...newCodecs, ...hearthCodecs].find(([, known]) => known === codec)?.[0];
}

/** The g3 number of a bitstream format. */
export function formatIdOf(format: BitstreamFormat): number {
  for (const [id, known] of formats.g3) if (known === format) return id;
  return -1;
}

/** What is known of a track when its first packet comes. */
export interface TrackEvidence {
  readonly mediaType: number;
  readonly codecId: number;
  /** Of its first packet; undefined before that. */
  readonly bitstreamFormat: number | undefined;
  readonly hasDecoderConfig: boolean;
}

const every: readonly OvtGeneration[] = ["g1", "g2", "g3"];
const fittingFormats: Partial<Record<Codec, readonly BitstreamFormat[]>> = {
  h264: ["h264-annexb"],
  h265: ["h265-annexb"],
  vp8: ["vp8"],
  aac: ["aac-adts", "aac-raw"],
  opus: ["opus"],
  mp3: ["mp3"],
};

/** The generations under which one track's numbers make sense; all of them when it tells nothing. */
export function generationsOf(evidence: TrackEvidence): readonly OvtGeneration[] {
  if (evidence.mediaType > 1) return every;
  const fitting = every.filter((generation) => {
    const codec = codecOf(generation, evidence.codecId);
    const wanted = codec && fittingFormats[codec];
    if (!wanted) return false;
    // Of the audio codecs only AAC has a configuration record.
    if (evidence.mediaType === 1 && evidence.hasDecoderConfig && codec !== "aac") return false;
    if (evidence.bitstreamFormat === undefined) return true;
    const format = formatOf(generation, evidence.bitstreamFormat);
    return format !== undefined && wanted.includes(format);
  });
  return fitting.length > 0 ? fitting : every;
}

/**
 * Whether tracks, all codecs of which are understood alike under every generation still possible, need no more evidence.
 * @returns the generation to use, the newest of those possible, and whether more packets could still change it
 */
export function detectGeneration(
  tracks: readonly TrackEvidence[],
  hasIndexHints: boolean,
): { generation: OvtGeneration; isSure: boolean } {
  let possible: readonly OvtGeneration[] = hasIndexHints ? ["g3"] : every;
  for (const track of tracks) {
    const fitting = generationsOf(track).filter((generation) => possible.includes(generation));
    // Tracks that contradict each other: keep what the first ones said.
    if (fitting.length > 0) possible = fitting;
  }
  const generation = possible.at(-1)!;
  const isSure = possible.length === 1 || tracks.every((track) => isReadAlike(track, possible));
  return { generation, isSure };
}

/** Whether codec and formats of this track mean the same whichever of `possible` it is. */
function isReadAlike(track: TrackEvidence, possible: readonly OvtGeneration[]): boolean {
  if (track.mediaType > 1) return true;
  const newest = possible.at(-1)!;
  // Images and the like: left out under every numbering, so there is nothing to tell.
  if (possible.every((generation) => codecOf(generation, track.codecId) === undefined)) return true;
  return possible.every(
    (generation) =>
      codecOf(generation, track.codecId) === codecOf(newest, track.codecId) &&
      (track.bitstreamFormat === undefined
        ? track.codecId === 1
        : formatOf(generation, track.bitstreamFormat) === formatOf(newest, track.bitstreamFormat)),
  );
}
