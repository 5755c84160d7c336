import { ProtocolError } from "../flow/errors.ts";
import { getSafeInt64, setSafeInt64 } from "./ovt-packet.ts";

/** Bytes in front of a media packet's data. */
export const ovtMediaHeaderLength = 36;

/** Media type on the wire. */
export const ovtMediaType = { video: 0, audio: 1, data: 2, subtitle: 3 } as const;
/** Key flag on the wire; for video everything but `key` is a delta. */
export const ovtFlag = { none: 0, delta: 1, key: 2 } as const;

/**
 * One frame with its timing, the reassembled payload of media packets.
 * ```
 *  0        4         12        20          28   29   30     31   32     36
 * +--------+---------+---------+-----------+----+----+------+----+------+--------
 * | track  |   PTS   |   DTS   | duration  |type|flag|format|kind| size | data …
 * +--------+---------+---------+-----------+----+----+------+----+------+--------
 * ```
 */
export interface OvtMedia {
  readonly trackId: number;
  /** Ticks of the track's time base, safe integers. */
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  readonly mediaType: number;
  readonly flag: number;
  /** What `data` looks like; the numbers depend on the origin's release. −1 = unknown. */
  readonly bitstreamFormat: number;
  /** Erased by every relay: never decide anything by it. −1 = unknown. */
  readonly packetType: number;
  readonly data: Uint8Array;
}

/**
 * @returns `data` as a view into `body`
 * @throws {ProtocolError} when `body` is shorter than its header, or its size field is not the rest of `body`
 */
export function parseOvtMedia(body: Uint8Array): OvtMedia {
  if (body.length < ovtMediaHeaderLength) {
    throw new ProtocolError("OVT_MEDIA_TRUNCATED", `a media packet of ${body.length} bytes has no header`);
  }
  const view = new DataView(body.buffer, body.byteOffset, ovtMediaHeaderLength);
  if (view.getUint32(32) !== body.length - ovtMediaHeaderLength) {
    throw new ProtocolError("OVT_MEDIA_SIZE", "a media packet's size field is not the length of its data");
  }
  return {
    trackId: view.getUint32(0),
    pts: getSafeInt64(view, 4),
    dts: getSafeInt64(view, 12),
    duration: durationOf(view),
    mediaType: view.getInt8(28),
    flag: view.getUint8(29),
    bitstreamFormat: view.getInt8(30),
    packetType: view.getInt8(31),
    data: body.subarray(ovtMediaHeaderLength),
  };
}

/** A hint, which nothing may depend on: 0 where it is no number that can be held. */
function durationOf(view: DataView): number {
  const duration = view.getInt32(20) * 4_294_967_296 + view.getUint32(24);
  return Number.isSafeInteger(duration) ? duration : 0;
}

/** The header for data of `dataLength` bytes. With the data behind it, the inverse of {@link parseOvtMedia}. */
export function serializeOvtMediaHeader(media: Omit<OvtMedia, "data">, dataLength: number): Uint8Array {
  const header = Buffer.allocUnsafe(ovtMediaHeaderLength);
  const view = new DataView(header.buffer, header.byteOffset, ovtMediaHeaderLength);
  view.setUint32(0, media.trackId);
  setSafeInt64(view, 4, media.pts);
  setSafeInt64(view, 12, media.dts);
  setSafeInt64(view, 20, media.duration);
  view.setInt8(28, media.mediaType);
  view.setUint8(29, media.flag);
  view.setInt8(30, media.bitstreamFormat);
  view.setInt8(31, media.packetType);
  view.setUint32(32, dataLength);
  return header;
}
