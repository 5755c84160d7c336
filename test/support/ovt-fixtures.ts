// The OVT vectors and recordings, and a decoder of recorded bytes that shares no code with the room under test.
import { readFileSync } from "node:fs";
import type { OvtReaderHandler } from "../../media-node/ovt/ovt-reader.ts";

const folder = new URL("../fixtures/ovt/", import.meta.url);

export interface MessageVector {
  readonly kind: "msg" | "msgfrag";
  readonly packets: readonly string[];
  readonly pt: number;
  readonly ts: number;
  readonly json: string;
}

export interface MediaVector {
  readonly kind: "media";
  readonly packets: readonly string[];
  readonly seq: number;
  readonly sid: number;
  readonly track: number;
  readonly pts: number;
  readonly dts: number;
  readonly dur: number;
  readonly mt: number;
  readonly flag: number;
  readonly bf: number;
  readonly pk: number;
  readonly data: string;
}

export interface StreamVector {
  readonly kind: "stream";
  readonly chunks: readonly string[];
}

export interface OvtVectors {
  readonly vectors: Readonly<Record<string, MessageVector | MediaVector | StreamVector>>;
  readonly negative: Readonly<Record<string, string>>;
}

export const ovtVectors: OvtVectors = JSON.parse(readFileSync(new URL("vectors.json", folder), "utf8"));

export const recordingNames = [
  "h264_aac",
  "h264_aac_opus_transcoded",
  "h264_opus_whip",
  "h265_aac_srt",
  "large_idr_fragmented",
  "h264_aac_data_events",
] as const;

export function recordedBytes(name: string, side: "origin" | "edge"): Uint8Array {
  return readFileSync(new URL(`recordings/${name}.from-${side}.bin`, folder));
}

export const fromHex = (hex: string): Buffer => Buffer.from(hex, "hex");

export interface TracePacket {
  readonly start: number;
  readonly end: number;
  readonly firstByte: number;
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: bigint;
  readonly sessionId: number;
  readonly payload: Buffer;
}

export interface TraceMedia {
  readonly trackId: number;
  readonly pts: bigint;
  readonly dts: bigint;
  readonly duration: bigint;
  readonly mediaType: number;
  readonly flag: number;
  readonly bitstreamFormat: number;
  readonly packetType: number;
  readonly data: Buffer;
  /** The packets it came in. */
  readonly packets: readonly TracePacket[];
}

export interface Trace {
  readonly packets: readonly TracePacket[];
  readonly messages: readonly Record<string, unknown>[];
  readonly media: readonly TraceMedia[];
  /** Bytes behind the last whole packet. */
  readonly rest: number;
}

/** Decodes one direction of a connection straight from the layout, with BigInts, one copy at a time: slow and plain. */
export function decodeTrace(bytes: Uint8Array): Trace {
  const all = Buffer.from(bytes);
  const packets: TracePacket[] = [];
  let at = 0;
  while (at + 18 <= all.length && at + 18 + all.readUInt16BE(at + 16) <= all.length) {
    const end = at + 18 + all.readUInt16BE(at + 16);
    packets.push({
      start: at,
      end,
      firstByte: all[at]!,
      payloadType: all[at + 1]!,
      sequence: all.readUInt16BE(at + 2),
      timestamp: all.readBigInt64BE(at + 4),
      sessionId: all.readUInt32BE(at + 12),
      payload: all.subarray(at + 18, end),
    });
    at = end;
  }
  const join = (types: readonly number[]): TracePacket[][] => {
    const groups: TracePacket[][] = [[]];
    for (const packet of packets.filter(({ payloadType }) => types.includes(payloadType))) {
      groups.at(-1)!.push(packet);
      if ((packet.firstByte & 0x20) !== 0) groups.push([]);
    }
    return groups.filter((group) => group.length > 0 && (group.at(-1)!.firstByte & 0x20) !== 0);
  };
  const whole = (group: readonly TracePacket[]): Buffer => Buffer.concat(group.map(({ payload }) => payload));
  const messages = join([10, 20]).map((group): Record<string, unknown> => JSON.parse(whole(group).toString("utf8")));
  const media = join([30]).map((group): TraceMedia => {
    const body = whole(group);
    if (body.readUInt32BE(32) !== body.length - 36) throw new Error("a media packet's size field is wrong");
    return {
      trackId: body.readUInt32BE(0),
      pts: body.readBigInt64BE(4),
      dts: body.readBigInt64BE(12),
      duration: body.readBigInt64BE(20),
      mediaType: body.readInt8(28),
      flag: body.readUInt8(29),
      bitstreamFormat: body.readInt8(30),
      packetType: body.readInt8(31),
      data: body.subarray(36),
      packets: group,
    };
  });
  return { packets, messages, media, rest: all.length - at };
}

/** A reader's handler that keeps copies of everything, in order. */
export class Collector implements OvtReaderHandler {
  readonly found: string[] = [];

  onMessage(body: Uint8Array): void {
    this.found.push(`message ${Buffer.from(body).toString("utf8")}`);
  }

  onMedia(body: Uint8Array): void {
    this.found.push(`media ${Buffer.from(body).toString("hex")}`);
  }
}
