import { toElementaryOf } from "./access-unit.ts";
import { clockTime, modulo, serializePes } from "./pes.ts";
import { pmtPid, serializePat, serializePmt } from "./program-tables.ts";
import { counterValues, TransportPackets } from "./transport-packets.ts";
import { isVideoCodec, streamTypeOf, type TsSample, type TsTrack } from "./ts-track.ts";

/** One track of a segment with its samples, by decoding time. May have none. */
export interface TsTrackSamples {
  readonly track: TsTrack;
  readonly samples: readonly TsSample[];
}

/** PID of the first track, which carries the clock where it has samples; the second has the next one. */
const firstPid = 0x100;
/** The clock runs this far (90 kHz) before decoding, so that a decoder has the bytes of a picture when it needs them. */
const clockLead = 63_000;
/** Frames of sound share a PES packet up to about this size: one each would be half stuffing. */
const soundBytes = 2_048;
/** About a millisecond of writing. */
export const sliceBytes = 128 * 1024;
/** Rough cost of headers and stuffing. */
const overhead = 1.1;

/** A PES packet to be. */
interface Unit {
  readonly trackIndex: number;
  readonly samples: readonly TsSample[];
  /** Seconds; orders the units, and depends on the source alone. */
  readonly seconds: number;
}

/**
 * One segment (RFC 8216 §3.2): begins with PAT and PMT and can be decoded alone where its first picture is a key frame.
 * The same samples give the same bytes.
 * @param tracks video first, then audio; at most one of each
 * @throws {ProtocolError} when a decoder configuration is broken
 */
export function serializeTsSegment(tracks: readonly TsTrackSamples[]): Uint8Array {
  const writing = writeTsSegment(tracks);
  for (;;) {
    const { done, value } = writing.next();
    if (done) return value;
  }
}

/**
 * The same, a slice at a time: lets go of the thread after each {@link sliceBytes} of media.
 * @throws {ProtocolError} from any step, when a decoder configuration is broken
 */
export function* writeTsSegment(tracks: readonly TsTrackSamples[]): Generator<undefined, Uint8Array> {
  const units = tracks.flatMap(({ track, samples }, index) => unitsOf(track, samples, index));
  units.sort((a, b) => a.seconds - b.seconds || a.trackIndex - b.trackIndex);
  const clockIndex = Math.max(
    0,
    tracks.findIndex(({ samples }) => samples.length > 0),
  );
  const last = tracks.map((_, index) => units.findLastIndex(({ trackIndex }) => trackIndex === index));
  const writers = tracks.map(({ track }) => toElementaryOf(track));
  const packets = new TransportPackets(capacityFor(units));
  const tables = tablesOf(tracks, firstPid + clockIndex);
  let tablesWritten = 0;
  const writeTables = (count: number): void => {
    for (; tablesWritten < count; tablesWritten++) for (const [pid, section] of tables) packets.table(pid, section);
  };
  let unsliced = 0;
  for (const [index, { trackIndex, samples }] of units.entries()) {
    if (unsliced >= sliceBytes) {
      yield;
      unsliced = 0;
    }
    unsliced += sizeOf(samples);
    // As often as a counter has values, evenly: so tables continue from segment to segment, too.
    writeTables(Math.floor((index * counterValues) / units.length) + 1);
    const { track } = tracks[trackIndex]!;
    const first = samples[0]!;
    const dts = clockTime(first.dts, track.timescale);
    const pts = clockTime(Math.max(first.pts, first.dts), track.timescale);
    const kind = isVideoCodec(track.codec) ? "video" : "audio";
    packets.pes(firstPid + trackIndex, serializePes(kind, pts, dts, samples.flatMap(writers[trackIndex]!)), {
      ...(trackIndex === clockIndex && { pcr: modulo(dts - clockLead) }),
      isRandomAccess: first.isSync,
      isLast: last[trackIndex] === index,
    });
  }
  writeTables(counterValues);
  return packets.finish();
}

function unitsOf(track: TsTrack, samples: readonly TsSample[], trackIndex: number): Unit[] {
  const unit = (grouped: readonly TsSample[]): Unit => ({
    trackIndex,
    samples: grouped,
    seconds: grouped[0]!.dts / track.timescale,
  });
  if (isVideoCodec(track.codec)) return samples.map((sample) => unit([sample]));
  const groups: TsSample[][] = [];
  let size = 0;
  for (const sample of samples) {
    const before = groups.at(-1)?.at(-1);
    // Only the first frame of a PES packet has a time: the others follow without a hole.
    const isNext = before !== undefined && before.dts + before.duration === sample.dts;
    size = isNext && size + sample.data.length <= soundBytes ? size + sample.data.length : 0;
    if (size > 0) groups.at(-1)!.push(sample);
    else groups.push([sample]);
    size ||= sample.data.length;
  }
  return groups.map(unit);
}

function tablesOf(tracks: readonly TsTrackSamples[], pcrPid: number): [number, Uint8Array][] {
  const streams = tracks.map(({ track }, index) => ({ pid: firstPid + index, streamType: streamTypeOf(track) }));
  return [
    [0, serializePat()],
    [pmtPid, serializePmt(pcrPid, streams)],
  ];
}

function capacityFor(units: readonly Unit[]): number {
  const bytes = units.reduce((sum, { samples }) => sum + sizeOf(samples) + 256, 16 * 1024);
  return Math.ceil(bytes * overhead);
}

const sizeOf = (samples: readonly TsSample[]): number => samples.reduce((sum, { data }) => sum + data.length, 0);
